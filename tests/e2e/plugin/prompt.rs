//! The prompts, in a pseudo-terminal.

use super::terminal::Terminal;
use super::*;

#[tokio::test]
async fn a_code_is_typed_without_echo() {
    let (world, desk) = desk("desk-type", "store-1", "8613800005101").await;
    let _operator = world.start(&[]).await;
    let mut terminal = Terminal::start(&desk, "code store-1", 24, 80);
    terminal.until("861380000****").await;
    // A typing error, corrected.
    terminal.keys("4079\u{7f}182\r").await;
    terminal.until("Verified").await;
    assert_eq!(terminal.ended().await, 0);
    let text = terminal.text();
    assert!(text.contains("······"), "{text}");
    assert!(!text.contains("407"), "{text}");
    world.finish().await.unwrap();
}

#[tokio::test]
async fn ctrl_c_at_the_prompt_writes_nothing() {
    let (world, desk) = desk("desk-leave", "store-2", "8613800005102").await;
    let mut terminal = Terminal::start(&desk, "code store-2", 24, 80);
    terminal.until("861380000****").await;
    terminal.keys("40718\u{3}").await;
    assert_eq!(terminal.ended().await, 130);
    assert!(!terminal.text().contains("407"), "{}", terminal.text());
    assert!(secret(&world, "store-2").await.is_none());
    assert!(!is_requested(&world, "store-2").await);
    world.finish().await.unwrap();
}

#[tokio::test]
async fn the_list_of_twenty_is_gone_through() {
    const COUNT: u32 = 20;
    let world = World::new(OPERATOR, "desk-next").await.unwrap();
    let desk = Desk::of(&world).await;
    let code = |n: u32| format!("{}", 600_000 + n * 31);
    for n in 0..COUNT {
        let phone = format!("86138000052{n:02}");
        waiting(&world, &format!("n{n:02}"), &phone, &code(n)).await;
    }
    let _operator = world.start(&["--qps", "0"]).await;
    for n in 0..COUNT {
        let name = format!("n{n:02}");
        reason(&world, &name, "SecretNotFound").await;
    }
    let mut terminal = Terminal::start(&desk, "code --next", 40, 100);
    for n in 0..COUNT {
        let asks = format!("[{}/{COUNT}] n{n:02} ", n + 1);
        terminal.until(&asks).await;
        match n {
            // Skipped, wrong by form and then right, and wrong.
            3 => terminal.keys("\r").await,
            4 => {
                terminal.keys("12\r").await;
                terminal.until("not a code of 6 digits").await;
                terminal.keys(&format!("{}\r", code(n))).await;
            }
            5 => terminal.keys("999999\r").await,
            _ => terminal.keys(&format!("{}\r", code(n))).await,
        }
    }
    let summary = "19 handed in: 18 verified, 1 refused (n05); 1 skipped";
    terminal.until(summary).await;
    assert_eq!(terminal.ended().await, 2);
    let text = terminal.text();
    for n in 0..COUNT {
        assert!(!text.contains(&code(n)), "{n}: {text}");
    }
    assert!(!text.contains("999999"));
    assert!(secret(&world, "n03").await.is_none());
    let figures = world.finish().await.unwrap();
    assert_eq!(executed(&figures), 19);
}

#[tokio::test]
async fn the_status_is_drawn_over_itself_and_is_lines_in_a_pipe() {
    let (world, desk) = desk("desk-watch", "store-5", "8613800005105").await;
    let _operator = world.start(&[]).await;
    let mut terminal = Terminal::start(&desk, "status -w", 24, 80);
    terminal.until("waiting for a code").await;
    let mut child = desk.spawn("status -w", "").await;
    assert_eq!(desk.run("code store-5", "407182").await.code, 0);
    terminal.until("100 % done").await;
    terminal.keys("\u{3}").await;
    assert_eq!(terminal.ended().await, 130);
    let screen = terminal.screen(24, 80).join("\n");
    let heads = screen.matches("1 number · 1 namespace").count();
    assert_eq!(heads, 1, "{screen}");
    assert!(screen.contains("Verified"), "{screen}");
    assert!(!screen.contains("SecretNotFound"), "{screen}");
    child.start_kill().unwrap();
    let piped = ended(child).await;
    assert!(!piped.out.contains('\u{1b}'), "{piped:?}");
    world.finish().await.unwrap();
}
