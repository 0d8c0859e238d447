//! What the commands write besides the table: JSON as its schema says, and a page that a browser
//! shows.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Output};

use loadtest::report::AnyReport;
use support::{SCHEMA, fits, is_valid, loadtest, portamento_as, skip, words};

/// Reports of all commands are held against the checked-in schema wherever tests read one; this
/// holds the schema against the structs.
#[test]
fn the_schema_is_that_of_the_reports() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMA);
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(AnyReport)).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == schema,
        "docs/report.schema.json is not that of the structs; write it anew with UPDATE_SCHEMA=1 \
         cargo test -p loadtest --test outputs, and raise SCHEMA_VERSION where readers would notice"
    );
}

#[test]
fn json_to_standard_output_leaves_the_table_to_standard_error() {
    let proxy = portamento_as("relay");
    let output = loadtest(&[
        "latency",
        "--sizes",
        "64",
        "--rounds",
        "1",
        "--duration",
        "200ms",
        "--proxy",
        &proxy,
        "--json",
        "-",
    ]);
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    is_valid(stdout.as_bytes());
    assert!(stderr.contains("all correct") && fits(&stderr), "{stderr}");
}

#[test]
fn what_cannot_be_written_is_told_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for (args, told) in [
        (&["latency", "--html", path][..], "--html: cannot write"),
        (&["soak", "--csv", "/no/such/folder/x"], "no such folder"),
        (
            &["compare", "--hdr", "/proc/x"],
            "--hdr: cannot write /proc/x",
        ),
        (
            &["connections", "--json", "-", "--csv", "-"],
            "--json and --csv both name -",
        ),
    ] {
        let output = loadtest(args);
        let (stdout, stderr) = words(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains(told), "{stderr}");
    }
    for args in [["throughput", "--hdr", "x"], ["soak", "--hdr", "x"]] {
        let output = loadtest(&args); // they measure no latencies
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_browser_shows_the_page_of_a_run() {
    if Command::new("chromium").arg("--version").output().is_err() {
        return skip("chromium is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let proxy = portamento_as("relay");
    let output = loadtest(&[
        "overhead",
        "--duration",
        "1s",
        "--proxy",
        &proxy,
        "--html",
        page.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{:?}", words(&output));

    let light = shown(&page, 1_200, false);
    let dark = shown(&page, 1_200, true);
    let phone = shown(&page, 390, false);
    assert!(
        light.brightness > 200 && phone.brightness > 200,
        "{light:?} {phone:?}"
    );
    assert!(dark.brightness < 80, "{dark:?}");

    // A phone shows it without scrolling sideways. The page allows no script, so a frame as wide as
    // a phone has a copy that does (no window is that narrow).
    let text = fs::read_to_string(&page).unwrap();
    let copy = text.replace("Content-Security-Policy", "none");
    let copy = copy.replace('&', "&amp;").replace('"', "&quot;");
    let frame = format!(
        "<title>-</title><iframe style='border:0;width:390px' srcdoc=\"{copy}\" onload=\"\
         document.title = this.contentDocument.documentElement.scrollWidth\"></iframe>"
    );
    fs::write(&page, frame).unwrap();
    let (dom, _) = words(&browser(&page, 1_200, &["--dump-dom"]));
    let title = dom.split_once("</title>").unwrap().0;
    assert!(title.ends_with("<title>390"), "{title}");
}

#[derive(Debug)]
struct Shown {
    /// The mean of all pixels, 0 to 255.
    brightness: u64,
}

/// A screenshot of `page`, which has something on it.
fn shown(page: &Path, width: u32, is_dark: bool) -> Shown {
    let shot = page.with_extension("png");
    let screenshot = format!("--screenshot={}", shot.display());
    let scheme = format!(
        "--blink-settings=preferredColorScheme={}",
        u8::from(!is_dark)
    );
    let output = browser(page, width, &[&screenshot, &scheme]);
    let (_, stderr) = words(&output);
    assert!(!stderr.contains("CONSOLE"), "{stderr}"); // a message of the page's own
    let decoder = png::Decoder::new(BufReader::new(File::open(&shot).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.width, width);
    let size = info.color_type.samples();
    let colours: HashSet<&[u8]> = pixels.chunks(size).collect();
    assert!(colours.len() > 100, "{} colours", colours.len());
    let sum: u64 = pixels.chunks(size).map(|pixel| u64::from(pixel[1])).sum();
    Shown {
        brightness: sum / (pixels.len() / size) as u64,
    }
}

fn browser(page: &Path, width: u32, args: &[&str]) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--hide-scrollbars", "--enable-logging=stderr", "--v=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},2400"))
        .args(args)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{:?}", words(&output));
    output
}
