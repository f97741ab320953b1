//! The first hour of somebody who has never seen the relay: `init`, and every command with the file where one would put it.

use std::process::Command;

use crate::harness::{API_KEY, Receiver, Setup, run, run_with};

/// A folder that `init` has written to, and the paths of its rules and its payload.
async fn begun() -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let within = folder.path().join("new/relay");
    let ran = run(&["init", within.to_str().unwrap()]).await;
    assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""), "{ran:?}");
    let path = |name: &str| within.join(name).display().to_string();
    (folder, path("routes.yaml"), path("samples/valid.json"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_writes_passes_the_commands_that_it_names() {
    let (_folder, rules, payload) = begun().await;
    let within = std::path::Path::new(&rules).parent().unwrap().display().to_string();
    let said = run(&["init", &format!("{within}/again")]).await.output.replace("/again", "");
    for command in [&["check", "--no-env", &rules][..], &["test", &rules], &["explain", &rules, &payload]] {
        assert!(said.contains(&format!("  wiza-relay {}\n", command.join(" "))), "{command:?} is not in\n{said}");
        let ran = run(command).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    run(&["check", "--no-env", "--strict", &rules]).await;
    let ran = run(&["test", &rules]).await;
    assert!(ran.output.contains("3 passed, 0 failed"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("routes.yaml");
    std::fs::write(&rules, "mine").unwrap();
    let at = folder.path().to_str().unwrap();
    run(&["init", at]).await.assert_refused(1, &["already there:", rules.to_str().unwrap(), "nothing was written"]);
    assert_eq!(std::fs::read_to_string(&rules).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(at).unwrap().count(), 1, "it wrote the other files");
    run(&["init", rules.to_str().unwrap()]).await.assert_refused(1, &["cannot make the folder", "File exists"]);
}

/// The rules as they were written, with real receivers in place of the variables.
#[tokio::test(flavor = "multi_thread")]
async fn what_init_writes_delivers_a_sample() {
    let (_folder, rules, _) = begun().await;
    let (slack, crm) = (Receiver::start().await, Receiver::start().await);
    let setup = Setup::new("")
        .rules_file(&rules)
        .env("WIZA_API_KEY", API_KEY)
        .env("SLACK_WEBHOOK_URL", &slack.url("/hook"))
        .env("CRM_URL", crm.url("/").trim_end_matches('/'))
        .env("CRM_TOKEN", "a-token");
    let relay = setup.start().await;
    let url = format!("http://{}/webhooks/wiza", relay.webhooks);
    for sample in ["valid", "failed", "risky"] {
        let ran = run(&["send", "--sample", sample, "--url", &url, "--api-key", API_KEY]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let contact = crm.wait_for(1).await.remove(0);
    assert_eq!((contact.method.as_str(), contact.json()["email"].as_str()), ("PUT", Some("ada@example.com")));
    let message = slack.wait_for(1).await.remove(0);
    assert!(message.json()["text"].as_str().unwrap().contains("no_match"), "{message:?}");
    relay.finish().await;
}

/// The rules are named by their place or by `--config`, whichever the command.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_takes_the_rules_by_place_and_by_flag() {
    let (_folder, rules, payload) = begun().await;
    let by_flag = ["--config", rules.as_str()];
    for (by_place, with_flag) in [
        (vec!["check", "--no-env", &rules], [&["check", "--no-env"], &by_flag[..]].concat()),
        (vec!["test", &rules], [&["test"], &by_flag[..]].concat()),
        (vec!["explain", &rules, &payload], [&["explain", payload.as_str()], &by_flag[..]].concat()),
        (vec!["explain", &rules, "failed"], [&["explain", "failed"], &by_flag[..]].concat()),
    ] {
        for command in [&by_place, &with_flag] {
            let ran = run(command).await;
            assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
        }
        let by_variable: Vec<&str> = by_place.iter().copied().filter(|word| *word != rules).collect();
        let ran = run_with(&by_variable, &[("WIZA_RELAY_CONFIG", &rules)]).await;
        assert_eq!(ran.code, Some(0), "{by_variable:?}: {ran:?}");
        // What is named on the command line is meant, whatever the variable says; two names there are one too many.
        let ran = run_with(&by_place, &[("WIZA_RELAY_CONFIG", "/nowhere/routes.yaml")]).await;
        assert_eq!(ran.code, Some(0), "{by_place:?}: {ran:?}");
    }
    for command in [
        &["check", &rules, "--config", "other.yaml"][..],
        &["explain", &rules, &payload, "--config", "other.yaml"],
        &["serve", &rules, "--config", "other.yaml"],
    ] {
        run(command).await.assert_refused(2, &["the rules are named twice", "other.yaml", &rules]);
    }
    // With the flag, what stands first is a file of tests.
    let tests = rules.replace("routes.yaml", "routes.test.yaml");
    let ran = run(&["test", &tests, "--config", &rules]).await;
    assert!(ran.output.contains("3 passed, 0 failed"), "{ran:?}");
    run(&["serve", "/nowhere/routes.yaml"]).await.assert_refused(2, &["/nowhere/routes.yaml"]);
    run(&["explain", &rules]).await.assert_refused(2, &["explain routes.yaml payload.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_needs_no_secrets_and_takes_none_if_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml").display().to_string();
    let rules = |rest: &str| {
        format!(
            "source: {{ path: /webhooks/wiza, api_keys: [\"${{WIZA_API_KEY}}\"] }}\ndestinations: {{ crm: {{ url: \"${{CRM_URL}}/c\"{rest} }} }}\nroutes: [{{ name: all, to: [crm] }}]\n"
        )
    };
    std::fs::write(&path, rules("")).unwrap();
    run(&["check", &path]).await.assert_refused(1, &["WIZA_API_KEY", "CRM_URL"]);
    let ran = run(&["check", "--no-env", &path]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.error.contains("CRM_URL, WIZA_API_KEY"), "{ran:?}");
    // A value that would be refused is not looked at.
    let wrong = [("CRM_URL", "no url"), ("WIZA_API_KEY", " ")];
    assert_eq!(run_with(&["check", &path], &wrong).await.code, Some(1));
    assert_eq!(run_with(&["check", "--no-env", &path], &wrong).await.code, Some(0));
    // A warning is a no only if that is wanted.
    std::fs::write(&path, rules(", body: { name: \"{{ data.name | title }}\" }")).unwrap();
    assert_eq!(run(&["check", "--no-env", &path]).await.code, Some(0));
    let ran = run(&["check", "--no-env", "--strict", &path]).await;
    ran.assert_refused(1, &["warning"]);
    assert!(ran.output.contains("not good by --strict"), "{ran:?}");
    let ran = run(&["check", "--no-env", "--strict", "--json", &path]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ran.output).unwrap()["ok"], false, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_take_the_completions() {
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef wiza-relay"),
        ("fish", "complete -c wiza-relay"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let ran = run_with(&["completions", shell], &[("WIZA_API_KEY", "a-secret")]).await;
        assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""), "{shell}");
        assert!(ran.output.contains(mark) && !ran.output.contains("a-secret"), "{shell}: {}", ran.output);
    }
    // bash itself is asked what follows `wiza-relay che` and `wiza-relay check --st`.
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("wiza-relay");
    std::fs::write(&script, run(&["completions", "bash"]).await.output).unwrap();
    for (words, cword, wanted) in [("wiza-relay che", 1, "check"), ("wiza-relay check --st", 2, "--strict --store")] {
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={cword}; _wiza__relay wiza-relay \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo ${{COMPREPLY[@]}}",
            script.display()
        );
        let told = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), wanted, "{}", String::from_utf8_lossy(&told.stderr));
    }
    run(&["completions", "tcsh"]).await.assert_refused(2, &["bash", "zsh"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let ran = run_with(&["man", "--to", to], &[("WIZA_API_KEY", "a-secret"), ("WIZA_RELAY_ADMIN_TOKEN", "a-secret-too")]).await;
    assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""));
    let help = run(&["--help"]).await.output;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let page = std::fs::read_to_string(folder.path().join(format!("wiza-relay-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH OPTIONS") && !page.contains("a-secret"), "{page}");
    }
    let page = run(&["man"]).await;
    assert!(page.output.contains(".TH wiza-relay 1"), "{page:?}");
    run(&["man", "--to", "/nowhere/at/all"]).await.assert_refused(1, &["cannot write into /nowhere/at/all"]);
}
