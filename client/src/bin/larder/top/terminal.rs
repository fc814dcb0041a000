//! The terminal: taken over, drawn on, listened to, and given back whatever happens.

use super::app::{App, Wish};
use super::poll::Look;
use super::view;
use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How many key presses may wait.
const QUEUE: usize = 64;

/// Gives the terminal back when it is dropped; ratatui does the same on a panic.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the nodes until the user quits.
///
/// # Errors
/// If the terminal cannot be drawn on or read.
pub(super) async fn show(app: &mut App, mut looks: mpsc::Receiver<Look>) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut terminal = ratatui::try_init().context("the terminal")?;
    let _guard = Guard;
    let mut events = listen();
    loop {
        terminal.draw(|frame| view::draw(app, frame)).context("the terminal")?;
        tokio::select! {
            look = looks.recv() => match look {
                Some(look) => app.take(look),
                None => anyhow::bail!("the nodes are watched no more"),
            },
            event = events.recv() => match event {
                Some(Ok(event)) => if let Meaning::Quit = act(app, &event) {
                    return Ok(());
                },
                Some(Err(error)) => return Err(error).context("the terminal"),
                None => return Ok(()),
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
        // Nodes answer at about the same time; one picture is enough for all that is there.
        while let Ok(look) = looks.try_recv() {
            app.take(look);
        }
    }
}

/// Reads the terminal in a thread of its own, which ends with the process: a read cannot be called off.
fn listen() -> mpsc::Receiver<std::io::Result<Event>> {
    let (sender, events) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        loop {
            let event = event::read();
            let is_over = event.is_err();
            if sender.blocking_send(event).is_err() || is_over {
                return;
            }
        }
    });
    events
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    GoOn,
    Quit,
}

fn act(app: &mut App, event: &Event) -> Meaning {
    // A change of size is answered by drawing anew, which happens anyway.
    let Event::Key(KeyEvent {
        code, modifiers, kind, ..
    }) = event
    else {
        return Meaning::GoOn;
    };
    if *kind == KeyEventKind::Release {
        return Meaning::GoOn;
    }
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return Meaning::Quit,
        KeyCode::Char('q') | KeyCode::Esc => return Meaning::Quit,
        KeyCode::Left => app.wish(Wish::SortLeft),
        KeyCode::Right => app.wish(Wish::SortRight),
        KeyCode::Up => app.wish(Wish::Up),
        KeyCode::Down => app.wish(Wish::Down),
        _ => {}
    }
    Meaning::GoOn
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn keys_do_what_the_help_says() {
        let mut app = App::new(vec!["a".to_string(), "b".to_string()], Duration::from_secs(1));
        let mut press = |code| act(&mut app, &Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        assert_eq!(press(KeyCode::Down), Meaning::GoOn);
        assert_eq!(press(KeyCode::Right), Meaning::GoOn);
        assert_eq!(press(KeyCode::Char('x')), Meaning::GoOn);
        assert_eq!(press(KeyCode::Char('c')), Meaning::GoOn);
        assert_eq!(press(KeyCode::Char('q')), Meaning::Quit);
        assert_eq!(press(KeyCode::Esc), Meaning::Quit);
        assert_eq!(app.chosen().name, "b");
        assert!(app.sort.is_some());
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(act(&mut app, &Event::Key(interrupt)), Meaning::Quit);
        assert_eq!(act(&mut app, &Event::Resize(1, 1)), Meaning::GoOn);
    }
}
