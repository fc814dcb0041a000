//! How nodes are shown: on a terminal, as text, as JSON.

use super::app::{App, Column, Node, Status};
use super::sample::Frame;
use crate::output::{self, Align, Table};
use crate::units;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, TableState};
use serde_json::{Value, json};

/// How many lines the drawing of operations takes, with its frame.
const CHART_LINES: u16 = 6;
/// A terminal with fewer lines shows no drawing.
const MIN_LINES_FOR_CHART: u16 = 14;

impl Column {
    fn head(self) -> &'static str {
        match self {
            Column::Node => "node",
            Column::Ops => "ops/s",
            Column::Hits => "hits",
            Column::Memory => "mem/limit",
            Column::P99 => "p99",
            Column::Clients => "conns",
            Column::Evicted => "evict/s",
            Column::Expired => "exp/s",
            Column::Uptime => "up",
            Column::Server => "server",
        }
    }

    fn align(self) -> Align {
        match self {
            Column::Node | Column::Server => Align::Left,
            _ => Align::Right,
        }
    }

    /// The characters that it needs, its name aside.
    fn width(self) -> u16 {
        match self {
            Column::Node => 0,
            Column::Memory => 11,
            Column::Server => 16,
            Column::Evicted => 7,
            _ => 6,
        }
    }

    /// What it says of a node that is up.
    fn cell(self, node: &Node, frame: &Frame) -> String {
        let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
        match self {
            Column::Node => node.name.clone(),
            Column::Ops => units::count(frame.ops_per_s),
            Column::Hits => known(frame.hit_ratio.map(|ratio| format!("{:.1}%", ratio * 100.0))),
            Column::Memory => {
                let limit = frame.memory_limit_bytes.map(|limit| units::bytes(limit as f64));
                let limit = limit.unwrap_or_else(|| "-".to_string());
                format!("{}/{limit}", units::bytes(frame.memory_bytes as f64))
            }
            Column::P99 => known(frame.p99_us.map(at_most)),
            Column::Clients => units::count(frame.clients as f64),
            Column::Evicted => units::count(frame.evicted_per_s),
            Column::Expired => units::count(frame.expired_per_s),
            Column::Uptime => units::age(frame.uptime_s),
            Column::Server => frame.program.clone(),
        }
    }
}

/// A bound in microseconds, without digits that a power of two does not have.
fn at_most(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{}ms", (us + 500) / 1000),
        _ => format!("{}s", (us + 500_000) / 1_000_000),
    }
}

/// What a node without figures shows instead of them.
fn excuse(node: &Node) -> Option<String> {
    match &node.status {
        Status::Up(_) => None,
        Status::Waiting => Some("...".to_string()),
        Status::Down(why) => Some(format!("unreachable: {why}")),
    }
}

/// Draws all.
pub(super) fn draw(app: &App, frame: &mut ratatui::Frame<'_>) {
    let area = frame.area();
    let chart = if area.height < MIN_LINES_FOR_CHART {
        0
    } else {
        CHART_LINES
    };
    let parts = [
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(chart),
        Constraint::Length(1),
    ];
    let [head, table, drawing, foot] = Layout::vertical(parts).areas(area);
    frame.render_widget(Paragraph::new(summary(app)), head);
    draw_table(app, frame, table);
    if chart > 0 {
        draw_chart(app, frame, drawing);
    }
    let keys = "q quit   left/right sort by   up/down choose a node";
    frame.render_widget(
        Paragraph::new(keys).style(Style::new().add_modifier(Modifier::DIM)),
        foot,
    );
}

fn summary(app: &App) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![
        Span::styled("larder top", bold),
        Span::raw(format!(
            "   {}   {} ops/s   every {:?}",
            units::plural(app.nodes.len(), "node"),
            units::count(app.ops_per_s()),
            app.interval
        )),
    ];
    if app.down() > 0 {
        spans.push(Span::styled(format!("   {} unreachable", app.down()), alarming()));
    }
    Line::from(spans)
}

fn alarming() -> Style {
    let style = Style::new().add_modifier(Modifier::BOLD);
    if output::colours_wanted() {
        style.fg(Color::Red)
    } else {
        style
    }
}

/// As many columns as there is room for, and how wide the names are.
fn columns(app: &App, width: u16) -> (Vec<Column>, u16) {
    let longest = app
        .nodes
        .iter()
        .map(|node| node.name.chars().count())
        .max()
        .unwrap_or(0);
    // Very long names are cut before figures are.
    let names = u16::try_from(longest.clamp(4, 40)).unwrap_or(40).min(width / 3);
    let mut used = names;
    let fits = |column: &Column| {
        used += if *column == Column::Node { 0 } else { column.width() + 1 };
        used <= width
    };
    (Column::ALL.into_iter().take_while(fits).collect(), names)
}

fn draw_table(app: &App, frame: &mut ratatui::Frame<'_>, area: Rect) {
    let (columns, names) = columns(app, area.width);
    let widths = columns.iter().map(|column| match column {
        Column::Node => Constraint::Length(names),
        other => Constraint::Length(other.width()),
    });
    let heads = columns.iter().map(|column| {
        let style = Style::new().add_modifier(match app.sort == Some(*column) {
            true => Modifier::BOLD | Modifier::REVERSED,
            false => Modifier::BOLD,
        });
        Cell::from(aligned(*column, column.head().to_string())).style(style)
    });
    let rows: Vec<Row<'_>> = app
        .rows()
        .map(|node| match node.frame() {
            Some(frame) => Row::new(columns.iter().map(|column| aligned(*column, column.cell(node, frame)))),
            None => Row::new([Line::raw(node.name.clone())]),
        })
        .collect();
    let table = ratatui::widgets::Table::new(rows, widths)
        .header(Row::new(heads))
        .column_spacing(1)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(app.row());
    frame.render_stateful_widget(table, area, &mut state);
    // Excuses are longer than any column, so they are written over the row.
    let lines = usize::from(area.height.saturating_sub(1));
    for (line, (row, node)) in app.rows().enumerate().skip(state.offset()).take(lines).enumerate() {
        let Some(text) = excuse(node) else { continue };
        let left = area.x + names + 1;
        let place = Rect::new(left, area.y + 1 + line as u16, area.right().saturating_sub(left), 1);
        let mut style = if matches!(node.status, Status::Down(_)) {
            alarming()
        } else {
            Style::new()
        };
        if row == app.row() {
            style = style.add_modifier(Modifier::REVERSED);
        }
        frame.render_widget(Paragraph::new(text).style(style), place.intersection(area));
    }
}

fn aligned(column: Column, text: String) -> Line<'static> {
    Line::raw(text).alignment(match column.align() {
        Align::Left => Alignment::Left,
        Align::Right => Alignment::Right,
    })
}

fn draw_chart(app: &App, frame: &mut ratatui::Frame<'_>, area: Rect) {
    let node = app.chosen();
    let room = usize::from(area.width.saturating_sub(2));
    let shown: Vec<u64> = node.history.iter().rev().take(room).rev().copied().collect();
    let most = shown.iter().copied().max().unwrap_or(0);
    let title = format!(" ops/s of {}, highest {} ", node.name, units::count(most as f64));
    let chart = Sparkline::default()
        .block(Block::new().borders(Borders::ALL).title(title))
        .data(shown);
    frame.render_widget(chart, area);
}

/// One frame as text.
pub(super) fn text(app: &App) -> String {
    let columns: Vec<_> = Column::ALL.map(|column| (column.align(), column.head())).to_vec();
    let mut table = Table::new(&columns);
    for node in app.rows() {
        table.row(match (node.frame(), excuse(node)) {
            (Some(frame), _) => Column::ALL.map(|column| column.cell(node, frame)).to_vec(),
            (None, excuse) => vec![node.name.clone(), excuse.unwrap_or_default()],
        });
    }
    table.render()
}

/// One frame for programs.
pub(super) fn json(app: &App) -> Value {
    let node = |node: &Node| match (&node.status, node.frame()) {
        (_, Some(frame)) => json!({
            "node": node.name,
            "reachable": true,
            "ops_per_s": frame.ops_per_s,
            "hit_ratio": frame.hit_ratio,
            "memory_bytes": frame.memory_bytes,
            "memory_limit_bytes": frame.memory_limit_bytes,
            "p99_us": frame.p99_us,
            "clients": frame.clients,
            "evicted_per_s": frame.evicted_per_s,
            "expired_per_s": frame.expired_per_s,
            "uptime_s": frame.uptime_s,
            "server": frame.program,
        }),
        (Status::Down(why), None) => json!({"node": node.name, "reachable": false, "error": why}),
        (_, None) => json!({"node": node.name, "reachable": Value::Null}),
    };
    app.rows().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Info;
    use crate::top::poll::Look;
    use crate::top::sample::Sample;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::{Duration, Instant};

    fn app() -> App {
        let names = ["10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"].map(str::to_string);
        let mut app = App::new(names.to_vec(), Duration::from_secs(1));
        let at = Instant::now();
        for (seconds, ops) in [(0, 0), (1, 12_345)] {
            let info = format!(
                "run_id:x\nlarder_version:0.1.0\ntotal_commands_processed:{ops}\nkeyspace_hits:{ops}\nused_memory:1288490188\n\
                 maxmemory:18993951744\nconnected_clients:51\nuptime_in_seconds:18720\n"
            );
            app.take(Look {
                node: 0,
                seen: Ok(Sample {
                    at: at + Duration::from_secs(seconds),
                    info: Info::parse(info.as_bytes()),
                    latencies: None,
                }),
            });
        }
        app.take(Look {
            node: 1,
            seen: Err("could not connect: refused".to_string()),
        });
        app
    }

    fn screen(app: &App, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(app, frame)).expect("drawn");
        terminal.backend().to_string()
    }

    #[test]
    fn eighty_columns_hold_all_figures() {
        let screen = screen(&app(), 80, 24);
        for shown in [
            "3 nodes   12.3k ops/s   every 1s   1 unreachable",
            "12.3k 100.0% 1.20G/17.7G      -     51       0      0  5h12m",
            "unreachable: could not connect: refused",
            "10.0.0.3:6379 ...",
            "ops/s of 10.0.0.1:6379, highest 12.3k",
            "q quit",
        ] {
            assert!(screen.contains(shown), "{shown}\n{screen}");
        }
        assert!(!screen.contains("server"), "there is no room for it\n{screen}");
    }

    #[test]
    fn any_size_of_terminal_can_be_drawn_on() {
        let app = app();
        for (width, height) in [(1, 1), (10, 3), (40, 12), (300, 100)] {
            screen(&app, width, height);
        }
        assert!(screen(&app, 120, 12).contains("larder 0.1.0"));
    }

    #[test]
    fn text_and_json_say_the_same() {
        let app = app();
        let text = text(&app);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("unreachable: could not connect: refused"), "{text}");
        let json = json(&app);
        assert_eq!(json[0]["ops_per_s"], 12_345.0);
        assert_eq!(json[1]["reachable"], false);
    }
}
