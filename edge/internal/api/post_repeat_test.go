package api

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// TestPostRepeated: a message that is posted again has the id by which a stream knows it
// for a repetition; another one, or of another sender, has another id.
func TestPostRepeated(t *testing.T) {
	for _, to := range []string{"svc:/job", string(testSID) + "@client:/"} {
		n, a := newNode(t, func(n *fakeNode) { n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {}} })
		text := func(from, mid, more, body string) string {
			return fmt.Sprintf(`{"to":"hydra-router:/queue","forward":"%s","frm":"%s","mid":"%s"%s,"bdy":%s}`, to, from, mid, more, body)
		}
		ids := make(map[string]int)
		for i, test := range []struct{ text, id string }{
			{text("web:/", "m", "", `{"n":1}`), "first"},
			{text("web:/", "m", `,"ts":"2026-01-12T20:16:29.157Z","hdr":{"try":2}`, ` { "\u006e" : 1.0 } `), "first"},
			{text("web:/", "m", "", `{"n":2}`), "other body"},
			{text("web:/", "m", `,"typ":"x"`, `{"n":1}`), "other type"},
			{text("web:/", "k", "", `{"n":1}`), "other mid"},
			{text("app:/", "m", "", `{"n":1}`), "other sender"},
		} {
			if got := post(t, a, "queue", test.text, nil); got.status != http.StatusOK {
				t.Fatalf("%s: %d %s", test.text, got.status, got.body)
			}
			out := n.nats.stored[i]
			if out.Mid == "" || out.Sender == "" || out.Content == "" {
				t.Errorf("%+v", out)
			}
			ids[out.Sender+":"+out.Mid+":"+out.Content]++
		}
		if len(ids) != 5 {
			t.Errorf("%s: ids %v", to, ids)
		}
	}
}

// TestPostToNobody: a service that nobody runs gets nothing, which its sender is told.
func TestPostToNobody(t *testing.T) {
	for _, path := range []string{"send", "message"} {
		_, a := newNode(t, func(n *fakeNode) { n.nats.err = nats.ErrNoResponders })
		got := post(t, a, path, `{"to":"nosuch:[POST]/","frm":"web:/","bdy":1}`, nil)
		if got.status != http.StatusServiceUnavailable || got.description != "Unavailable nosuch instances" {
			t.Errorf("%s: %d %s", path, got.status, got.description)
		}
	}
}
