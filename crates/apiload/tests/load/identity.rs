//! Who is asked, who asks, and how: what a kubeconfig and a plan say is what the server sees.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use apiload::{Content, Control, Plan, Protocol, Target};
use http::HeaderMap;
use kube::config::{AuthInfo, ExecConfig};
use measure::Until;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rstest::rstest;
use scripted::{Reply, Server, Speaks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::{config, only, phase};

/// A server that notes the headers of each request.
fn noting(speaks: Speaks) -> (Server, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let server = Server::start(speaks, move |asked| {
        notes.lock().unwrap().push(asked.headers.clone());
        Reply::ok(r#"{"kind":"PodList","items":[{},{},{}]}"#)
    });
    (server, seen)
}

/// TLS for `localhost` that offers these protocols, and its certificate.
fn tls(alpn: &[&[u8]]) -> (Speaks, Vec<u8>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    (Speaks::Tls(Arc::new(config)), cert.der().to_vec())
}

#[rstest]
#[case::http1(Protocol::Http1)]
#[case::http2(Protocol::Http2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phase_speaks_its_own_protocol_over_tls_and_times_the_handshake(#[case] protocol: Protocol) {
    let (speaks, ca) = tls(&[b"h2", b"http/1.1"]);
    let (server, seen) = noting(speaks);
    let mut config = config(&server, "https");
    config.root_cert = Some(vec![ca]);
    config.tls_server_name = Some("localhost".to_owned());
    let target = Target::new(&config).await.unwrap();
    let plan = Plan::new(vec![phase(200.0, Until::Total(50), protocol, 4)], 1);
    let outcome = only(apiload::run(&target, &plan, &Control::new()).await.unwrap());
    assert_eq!(outcome.total.counts.completed, 50, "{:?}", outcome.failures);
    let sockets = if protocol == Protocol::Http1 { 4 } else { 1 };
    assert_eq!((outcome.connections.opened, outcome.connections.tls.count()), (sockets, sockets));
    // The host is a header only where the protocol has no other place for it.
    assert!(seen.lock().unwrap().iter().all(|headers| headers.contains_key("host") == (protocol == Protocol::Http1)));
    assert_eq!((outcome.total.objects.min, outcome.total.objects.max), (3, 3));
}

#[rstest]
#[case::unknown_authority("h2", false, "certificate")]
#[case::other_protocol("http/1.1", true, "does not speak HTTP/2: ask for HTTP/1.1")]
#[tokio::test]
async fn a_server_that_cannot_be_trusted_or_spoken_to_is_an_error_that_says_why(
    #[case] alpn: &str,
    #[case] trusted: bool,
    #[case] why: &str,
) {
    let (speaks, ca) = tls(&[alpn.as_bytes()]);
    let (server, _) = noting(speaks);
    let mut config = config(&server, "https");
    config.root_cert = Some(vec![if trusted { ca } else { tls(&[alpn.as_bytes()]).1 }]);
    config.tls_server_name = Some("localhost".to_owned());
    let target = Target::new(&config).await.unwrap();
    let plan = Plan::new(vec![phase(10.0, Until::Total(1), Protocol::Http2, 1)], 1);
    let error = apiload::run(&target, &plan, &Control::new()).await.unwrap_err().to_string();
    assert!(error.contains("tls: ") && error.contains(why), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_impersonation_and_user_agent_are_on_every_request() {
    let (server, seen) = noting(Speaks::Http2);
    let mut config = config(&server, "http");
    config.auth_info = AuthInfo {
        token: Some("secret".to_owned().into()),
        impersonate: Some("jane".to_owned()),
        ..AuthInfo::default()
    };
    let target = Target::new(&config).await.unwrap();
    let plan = Plan {
        user_agent: "agent/1".to_owned(),
        ..Plan::new(vec![phase(100.0, Until::Total(5), Protocol::Http2, 1)], 1)
    };
    apiload::run(&target, &plan, &Control::new()).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 5);
    for headers in seen.iter() {
        let of = |name| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!((of("authorization"), of("impersonate-user")), (Some("Bearer secret"), Some("jane")));
        assert_eq!((of("user-agent"), of("accept")), (Some("agent/1"), Some("application/json, */*")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exec_plugin_gives_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("plugin");
    let credential =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}"#;
    std::fs::write(&plugin, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o700)).unwrap();
    let (server, seen) = noting(Speaks::Http2);
    let mut config = config(&server, "http");
    let exec: ExecConfig = serde_json::from_value(serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": plugin,
        "interactiveMode": "Never",
    }))
    .unwrap();
    config.auth_info = AuthInfo { exec: Some(exec), ..AuthInfo::default() };
    let target = Target::new(&config).await.unwrap();
    let plan = Plan::new(vec![phase(100.0, Until::Total(1), Protocol::Http2, 1)], 1);
    apiload::run(&target, &plan, &Control::new()).await.unwrap();
    assert_eq!(seen.lock().unwrap()[0]["authorization"], "Bearer from-plugin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_phase_has_its_own_content_type_rate_and_connections() {
    let (server, seen) = noting(Speaks::Http2);
    let target = Target::new(&config(&server, "http")).await.unwrap();
    let mut second = phase(400.0, Until::Total(40), Protocol::Http2, 6);
    (second.content, second.connections, second.gzip) = (Content::Protobuf, 3, true);
    let plan = Plan::new(vec![phase(100.0, Until::Total(10), Protocol::Http2, 2), second], 1);
    let outcome = apiload::run(&target, &plan, &Control::new()).await.unwrap();
    let opened: Vec<u64> = outcome.phases.iter().map(|phase| phase.connections.opened).collect();
    assert_eq!(opened, [1, 3]);
    let completed: Vec<u64> = outcome.phases.iter().map(|phase| phase.total.counts.completed).collect();
    assert_eq!(completed, [10, 40]);
    let seen = seen.lock().unwrap();
    assert!(seen[..10].iter().all(|headers| headers["accept"] == "application/json, */*"));
    assert!(seen[10..].iter().all(|headers| headers["accept"] == "application/vnd.kubernetes.protobuf, */*"));
    assert!(seen[10..].iter().all(|headers| headers["accept-encoding"] == "gzip"));
    let json = serde_json::to_value(&outcome).unwrap();
    assert_eq!(json["phases"][1]["setup"]["content"], "protobuf");
    assert_eq!(json["phases"][1]["total"]["counts"]["completed"], 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_asked_to_connect_with_its_credentials() {
    let (server, seen) = noting(Speaks::Http2);
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&server, "http");
    config.proxy_url = Some(format!("http://user:pass@{}", proxy.local_addr().unwrap()).parse().unwrap());
    let address = server.address;
    let asked = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut server = tokio::net::TcpStream::connect(address).await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        String::from_utf8(head).unwrap()
    });
    let target = Target::new(&config).await.unwrap();
    let plan = Plan::new(vec![phase(100.0, Until::Total(3), Protocol::Http2, 1)], 1);
    apiload::run(&target, &plan, &Control::new()).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 3);
    let asked = asked.await.unwrap().to_lowercase();
    assert!(asked.starts_with(&format!("connect {address} http/1.1")), "{asked}");
    assert!(asked.contains("proxy-authorization: basic dxnlcjpwyxnz"), "{asked}");
}
