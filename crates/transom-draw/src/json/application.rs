//! What the first bytes of a connection say.

use serde::Serialize;
use transom_flow::Application;

#[derive(Debug, Serialize)]
#[serde(tag = "protocol", rename_all = "snake_case")]
pub(super) enum ApplicationView<'a> {
    Http {
        /// Empty if only the answer was captured; then left out.
        #[serde(skip_serializing_if = "str::is_empty")]
        request: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'a str>,
    },
    Tls {
        #[serde(skip_serializing_if = "Option::is_none")]
        sni: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        alpn: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<&'static str>,
    },
    Ssh {
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        server: Option<&'a str>,
    },
    Dns {
        name: &'a str,
        kind: u16,
    },
    Other {
        banner: String,
    },
}

pub(super) fn application(application: &Application) -> ApplicationView<'_> {
    match application {
        Application::Http { request, status } => ApplicationView::Http {
            request,
            status: status.as_deref(),
        },
        Application::Tls { sni, alpn, version } => ApplicationView::Tls {
            sni: sni.as_deref(),
            alpn: alpn.as_deref(),
            version: *version,
        },
        Application::Ssh { client, server } => ApplicationView::Ssh {
            client: client.as_deref(),
            server: server.as_deref(),
        },
        Application::Dns { name, kind } => ApplicationView::Dns { name, kind: *kind },
        other => ApplicationView::Other {
            banner: match other {
                Application::Other { banner } => banner.to_string(),
                other => other.to_string(),
            },
        },
    }
}
