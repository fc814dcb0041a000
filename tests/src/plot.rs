//! Line charts as SVG files, for the pictures in `docs/`.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, bail};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::{
    ChartBuilder, Circle, DrawingArea, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, SVGBackend, Text,
    WHITE,
};
use plotters::style::Color;

/// Colours that stay apart for colour-blind readers (Okabe and Ito 2008), without their yellow, which is lost on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];
const SIZE: (u32, u32) = (960, 480);
const LEGEND_WIDTH: u32 = 190;
/// About how many ticks an axis gets.
const TICKS: f64 = 8.0;
/// Above this many points a line is drawn without a dot on each.
const MOST_DOTS: usize = 40;

/// What stands around the lines.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Above the picture.
    pub title: String,
    /// Below the x axis, with the unit.
    pub x_label: String,
    /// Beside the y axis, with the unit.
    pub y_label: String,
    /// Whether x is logarithmic; then every x must be above 0.
    pub log_x: bool,
    /// Whether the y axis starts at 0; if not, where the lowest point is.
    pub y_from_zero: bool,
}

/// One line and its name in the legend.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Points (x, y), in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
}

/// Draws `series` (colours repeat after seven) into the SVG file `path`, which is replaced if it exists.
///
/// # Errors
/// If there is no point, a point is not finite or not above 0 on a logarithmic axis, or the file cannot be written.
pub fn write_svg(path: &Path, chart: &Chart, series: &[Series]) -> anyhow::Result<()> {
    let svg = svg(chart, series).with_context(|| format!("cannot draw {}", path.display()))?;
    std::fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))
}

fn svg(chart: &Chart, series: &[Series]) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (plot, legend) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
        draw_lines(&plot, chart, series)?;
        draw_legend(&legend, series)?;
        root.present()?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_lines(area: &Area<'_>, chart: &Chart, series: &[Series]) -> anyhow::Result<()> {
    let points = || series.iter().flat_map(|line| &line.points);
    let x = Axis::over(points().map(|point| point.0), chart.log_x, false).context("x")?;
    let y = Axis::over(points().map(|point| point.1), false, chart.y_from_zero).context("y")?;
    let mut on = ChartBuilder::on(area)
        .caption(&chart.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(45)
        .y_label_area_size(70)
        .build_cartesian_2d(x, y)?;
    on.configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc(&chart.x_label)
        .y_desc(&chart.y_label)
        .label_style(("sans-serif", 14))
        .draw()?;
    for (line, colour) in series.iter().zip(COLOURS.iter().cycle()) {
        if line.points.len() <= MOST_DOTS {
            let dots = line.points.iter().map(|at| Circle::new(*at, 3, colour.filled()));
            on.draw_series(dots)?;
        }
        on.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?;
    }
    Ok(())
}

fn draw_legend(area: &Area<'_>, series: &[Series]) -> anyhow::Result<()> {
    for ((line, colour), row) in series.iter().zip(COLOURS.iter().cycle()).zip(0..) {
        let y = 60 + 22 * row;
        area.draw(&PathElement::new(vec![(4, y), (26, y)], colour.stroke_width(3)))?;
        let text = Text::new(line.name.as_str(), (33, y - 7), ("sans-serif", 14).into_font());
        area.draw(&text)?;
    }
    Ok(())
}

/// An axis with the ticks of this module. A logarithmic one is linear over exponents.
struct Axis {
    log: bool,
    /// What is shown: values, or exponents of ten.
    shown: Range<f64>,
}

impl Axis {
    /// An axis that has room for all `values`.
    fn over(values: impl Iterator<Item = f64>, log: bool, from_zero: bool) -> anyhow::Result<Self> {
        let mut shown: Option<Range<f64>> = None;
        for value in values {
            let place = if log { value.log10() } else { value };
            if !place.is_finite() {
                bail!("{value} has no place on the axis");
            }
            let so_far = shown.unwrap_or(place..place);
            shown = Some(so_far.start.min(place)..so_far.end.max(place));
        }
        let mut shown = shown.context("there is nothing to draw")?;
        if from_zero {
            shown.start = shown.start.min(0.0);
        }
        widen(&mut shown);
        Ok(Self { log, shown })
    }

    fn value(&self, place: f64) -> f64 {
        if self.log { 10f64.powf(place) } else { place }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let place = if self.log { value.log10() } else { *value };
        let share = (place - self.shown.start) / (self.shown.end - self.shown.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let places = if self.log {
            log_ticks(&self.shown)
        } else {
            ticks(&self.shown)
        };
        places.into_iter().map(|place| self.value(place)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.value(self.shown.start)..self.value(self.shown.end)
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        label(*value)
    }
}

/// Leaves some room above the highest point, and makes a single value a range.
fn widen(range: &mut Range<f64>) {
    let size = range.end - range.start;
    let room = if size > 0.0 {
        size * 0.03
    } else {
        (range.end.abs() * 0.1).max(0.1)
    };
    range.end += room;
    // A lowest value of 0 is a border of its own.
    if range.start != 0.0 {
        range.start -= room;
    }
}

/// Round numbers within `range`, in steps of 1, 2 or 5 times a power of ten.
fn ticks(range: &Range<f64>) -> Vec<f64> {
    let wanted = (range.end - range.start) / TICKS;
    let power = 10f64.powf(wanted.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= wanted)
        .unwrap_or(10.0 * power);
    let first = (range.start / step).ceil();
    (0..)
        .map(|index| (first + f64::from(index)) * step)
        .take_while(|tick| *tick <= range.end)
        .collect()
}

/// The exponents of 1, 2 and 5 times the powers of ten within `range`, of the powers alone if those were too many.
fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    let decades = range.end - range.start;
    let factors: &[f64] = if decades * 3.0 <= 2.0 * TICKS {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    let step = (decades / (2.0 * TICKS)).ceil().max(1.0);
    let first = range.start.floor();
    (0..)
        .map(|index| first + f64::from(index) * step)
        .take_while(|power| *power <= range.end)
        .flat_map(|power| factors.iter().map(move |factor| power + factor.log10()))
        .filter(|tick| range.contains(tick))
        .collect()
}

/// A tick's number, without digits that say nothing: 0.35, 20, 3k, 1.5M.
fn label(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{}{unit}", if text == "-0" { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use super::{Chart, Series, label, log_ticks, svg, ticks};

    fn chart(log_x: bool) -> Chart {
        Chart {
            title: "hits & misses".to_owned(),
            x_label: "MiB".to_owned(),
            y_label: "ratio".to_owned(),
            log_x,
            y_from_zero: true,
        }
    }

    fn line(points: &[(f64, f64)]) -> Series {
        Series {
            name: "a <name>".to_owned(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn a_chart_is_a_whole_svg_with_its_texts_escaped() {
        for log_x in [false, true] {
            let svg = svg(&chart(log_x), &[line(&[(8.0, 0.2), (64.0, 0.9)]), line(&[(8.0, 0.3)])]).unwrap();
            assert!(
                svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
                "{svg:.60}..{}",
                svg
            );
            for text in [
                "hits &amp; misses",
                "MiB",
                "ratio",
                "a &lt;name&gt;",
                "<polyline",
                "<circle",
            ] {
                assert!(svg.contains(text), "{text} in {svg}");
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        assert!(svg(&chart(false), &[]).is_err());
        assert!(svg(&chart(false), &[line(&[])]).is_err());
        assert!(svg(&chart(false), &[line(&[(1.0, f64::NAN)])]).is_err());
        assert!(svg(&chart(true), &[line(&[(0.0, 1.0)])]).is_err());
        assert!(svg(&chart(false), &[line(&[(0.0, 0.0)])]).is_ok());
    }

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!(ticks(&(0.0..72.0)), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]);
        let labels: Vec<_> = ticks(&(0.61..0.87)).into_iter().map(label).collect();
        assert_eq!(labels, ["0.65", "0.7", "0.75", "0.8", "0.85"]);
        let powers: Vec<_> = log_ticks(&(0.9..1.9))
            .into_iter()
            .map(|tick| label(10f64.powf(tick)))
            .collect();
        assert_eq!(powers, ["10", "20", "50"]);
        assert_eq!(log_ticks(&(0.0..9.0)).len(), 9);
    }

    #[test]
    fn labels_are_short() {
        let labels = [0.0, 0.35, 20.0, 9999.0, 30_000.0, 1.5e6].map(label);
        assert_eq!(labels, ["0", "0.35", "20", "9999", "30k", "1.5M"]);
    }
}
