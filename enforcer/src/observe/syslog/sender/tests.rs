use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use super::super::destination::Destination;
use super::*;

fn sender(text: &str) -> Sender {
    let Ok(Destination::Server(server)) = Destination::parse(text) else { panic!("{text}") };
    let mut sender = Sender::to_server(&server).unwrap();
    sender.patience = Duration::from_millis(200);
    sender
}

/// Reads messages with their length before them until there are so many.
fn received(stream: &mut TcpStream, number: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < number {
        let mut length = String::new();
        loop {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            if byte[0] == b' ' {
                break;
            }
            length.push(char::from(byte[0]));
        }
        let mut message = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut message).unwrap();
        found.push(String::from_utf8(message).unwrap());
    }
    found
}

#[test]
fn a_datagram_is_a_message_and_nobody_needs_to_listen() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sender = sender(&format!("udp://{}", server.local_addr().unwrap()));
    sender.event(&DeniedEvent::for_tests("eth0")).unwrap();
    let mut bytes = [0; 2048];
    let length = server.recv(&mut bytes).unwrap();
    let text = std::str::from_utf8(&bytes[..length]).unwrap();
    assert!(text.starts_with("<164>1 ") && text.ends_with("(74 bytes)"), "{text}");
    drop(server);
    for _ in 0..10 {
        sender.event(&DeniedEvent::for_tests("eth0")).unwrap();
    }
}

#[test]
fn a_receiver_that_is_not_there_is_reported_before_there_is_an_event() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", server.local_addr().unwrap());
    sender(&url).connect().unwrap();
    drop(server);
    let error = format!("{:#}", sender(&url).connect().unwrap_err());
    assert!(error.starts_with(&format!("cannot send events to {url}: ")), "{error}");
}

#[test]
fn a_stream_goes_on_by_another_connection_and_loses_nothing_that_waited() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = sender(&format!("tcp://{}", server.local_addr().unwrap()));
    sender.event(&DeniedEvent::for_tests("eth0")).unwrap();
    sender.flush().unwrap();
    let (mut stream, _) = server.accept().unwrap();
    assert!(received(&mut stream, 1)[0].contains(" interface=\"eth0\" "));
    // The server restarts.
    drop(stream);
    for name in ["eth1", "eth2"] {
        sender.event(&DeniedEvent::for_tests(name)).unwrap();
    }
    sender.flush().unwrap();
    let (mut stream, _) = server.accept().unwrap();
    let found = received(&mut stream, 2);
    assert!(found[0].contains("\"eth1\"") && found[1].contains("\"eth2\""), "{found:?}");
}

#[test]
fn a_server_that_reads_nothing_costs_bounded_memory_and_time() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = sender(&format!("tcp://{}", server.local_addr().unwrap()));
    let begun = Instant::now();
    let mut failed = 0;
    // More than the buffers of both sockets hold.
    while failed < 3 {
        if sender.event(&DeniedEvent::for_tests("eth0")).is_err() {
            failed += 1;
        }
        let Receiver::Stream(stream) = &sender.receiver else { panic!("a stream") };
        assert!(stream.waiting.len() < MOST_WAITING + 4 * 1024, "{}", stream.waiting.len());
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_that_names_it() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    drop(server);
    let mut sender = sender(&format!("tcp://{address}"));
    sender.event(&DeniedEvent::for_tests("eth0")).unwrap();
    let error = sender.flush().unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot send events to tcp://{address}: ")), "{error}");
    // It waited.
    let server = TcpListener::bind(address).unwrap();
    sender.flush().unwrap();
    let (mut stream, _) = server.accept().unwrap();
    assert_eq!(received(&mut stream, 1).len(), 1);
}

#[test]
fn the_journal_gets_fields_in_one_datagram() {
    let path = std::env::temp_dir().join(format!("enforcer-journal-{}", std::process::id()));
    let server = UnixDatagram::bind(&path).unwrap();
    let mut sender = Sender::to_journal_at(&path);
    let mut bytes = [0; 4096];
    sender.event(&DeniedEvent::for_tests("a\nb")).unwrap();
    let length = server.recv(&mut bytes).unwrap();
    let text = std::str::from_utf8(&bytes[..length]).unwrap();
    assert!(text.contains("\nENFORCER_INTERFACE=a\\nb\n") && text.contains("\nENFORCER_EVENT=denied\n"), "{text}");
    drop(server);
    std::fs::remove_file(&path).unwrap();
    assert!(sender.event(&DeniedEvent::for_tests("eth0")).is_err(), "nobody listens");
    let server = UnixDatagram::bind(&path).unwrap();
    sender.event(&DeniedEvent::for_tests("eth0")).unwrap();
    assert!(server.recv(&mut bytes).is_ok());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_that_speaks_no_tls_is_refused() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let answering = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        // Read before it is closed, or the answer would be lost by a reset.
        let mut hello = [0; 64];
        let _ = stream.read(&mut hello);
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
    });
    let ca = std::env::temp_dir().join(format!("enforcer-ca-{}.pem", std::process::id()));
    std::fs::write(&ca, CA).unwrap();
    let mut sender = sender(&format!("tls://{address}?ca={}", ca.display()));
    sender.event(&DeniedEvent::for_tests("eth0")).unwrap();
    assert!(sender.flush().is_err());
    answering.join().unwrap();
    std::fs::remove_file(&ca).unwrap();
    let Ok(Destination::Server(server)) = Destination::parse("tls://localhost?ca=/nowhere.pem") else {
        panic!("a server")
    };
    let Err(error) = Sender::to_server(&server) else { panic!("there is no such file") };
    assert!(error.to_string().contains("/nowhere.pem"), "{error}");
}

/// The public part of a certificate of nobody.
const CA: &str = include_str!("nobody.pem");
