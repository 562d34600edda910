package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/umf"
)

const postedTo = scheme.SID("k7abcdefghijklmnopqrstuvwx")

// TestPostForAnother: what a client may not say may not be posted either.
func TestPostForAnother(t *testing.T) {
	for text, want := range map[string]int{
		`"frm":"hydra-router:/","typ":"connection","bdy":{"id":"x"}`:         http.StatusForbidden,
		`"frm":"N@hydra-router","bdy":1`:                                     http.StatusForbidden,
		`"from":"N-S@Hydra-Router:/x","bdy":1`:                               http.StatusForbidden,
		`"frm":"web:/","FROM":"hydra-router:/","bdy":1`:                      http.StatusBadRequest,
		`"frm":"web:/","bdy":1,"BDY":{"amount":1000000}`:                     http.StatusBadRequest,
		`"frm":"web:/","bdy":1,"\u0056ia":"x-k7abcdefghijklmnopqrstuvwx@y:"`: http.StatusBadRequest,
	} {
		for _, path := range postPaths {
			for _, to := range []string{`"to":"` + string(postedTo) + `@client:/",`, `"to":"svc:/",`, `"to":"hydra-router:/","fwd":"svc:/",`} {
				n, a := newNode(t, nil)
				n.nats.sessions = map[scheme.SID]scheme.Entry{postedTo: {}}
				if got := post(t, a, path, "{"+to+text+"}", nil); got.status != want || len(n.nats.sent) > 0 {
					t.Errorf("%s %s%s: %d %s; sent %v", path, to, text, got.status, got.body, n.nats.sent)
				}
			}
		}
	}
}

// TestPostedHeaders: the node's headers do not go on. There is no session that
// could be named in them.
func TestPostedHeaders(t *testing.T) {
	for _, to := range []string{string(postedTo) + "@client:/", "svc:/"} {
		for _, path := range postPaths[:2] {
			n, a := newNode(t, nil)
			n.nats.sessions = map[scheme.SID]scheme.Entry{postedTo: {}}
			got := post(t, a, path, `{"to":"`+to+`","frm":"web:/","hdr":{"X-From":"V","a":1,"x-user":"admin","x-ſeq":"1","x-prev":1},"bdy":1}`, nil)
			if got.status != http.StatusOK || len(n.nats.sent) != 1 || !strings.Contains(n.nats.sent[0].data, `"hdr":{"a":1}`) {
				t.Errorf("%s to %s: %d %s; sent %v", path, to, got.status, got.body, n.nats.sent)
			}
		}
	}
}

// TestPostedSigned: what no signature covers does not go on, nor does the signature.
func TestPostedSigned(t *testing.T) {
	signed := func(text string) string {
		var e umf.Envelope
		if err := umf.Scan([]byte(text+"}"), &e); err != nil {
			t.Fatal(err)
		}
		return text + `,"sig":"` + umf.NewKeys("secret").Sign(&e) + `"`
	}
	begin := `{"to":"` + string(postedTo) + `@client:/","frm":"web:/","mid":"m","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":1`
	for text, want := range map[string]int{
		signed(begin) + `,"ttl":1,"pri":9,"for":"x:/","note":1}`: http.StatusOK,
		signed(begin) + `,"Bdy":2}`:                              http.StatusBadRequest,
		signed(begin+`,"hdr":{"X-User":"admin"}`) + `}`:          http.StatusForbidden,
	} {
		n, a := newNode(t, func(n *fakeNode) { n.Signatures = access.NewSignatures([]string{"secret"}, 0, nil) })
		n.nats.sessions = map[scheme.SID]scheme.Entry{postedTo: {}}
		got := post(t, a, "send", text, nil)
		if got.status != want {
			t.Errorf("%s: %d %s", text, got.status, got.body)
		}
		if want == http.StatusOK && (len(n.nats.sent) != 1 || n.nats.sent[0].ttl != 0 || strings.Contains(n.nats.sent[0].data, "sig") || strings.Contains(n.nats.sent[0].data, "note")) {
			t.Errorf("sent %v", n.nats.sent)
		}
	}
}

// TestPostedTwice: a signed message is taken once, whichever node it is posted to, and
// never in the name of a session.
func TestPostedTwice(t *testing.T) {
	signatures := func() *access.Signatures { return access.NewSignatures([]string{"secret"}, time.Minute, func() {}) }
	signed := func(from, mid string) string {
		text := fmt.Sprintf(`{"to":"svc:/","frm":"%s","mid":"%s","ts":"%s","bdy":1`, from, mid, umf.AppendTimestamp(nil, time.Now()))
		var e umf.Envelope
		if err := umf.Scan([]byte(text+"}"), &e); err != nil {
			t.Fatal(err)
		}
		return text + `,"sig":"` + umf.NewKeys("secret").Sign(&e) + `"}`
	}
	first, a := newNode(t, func(n *fakeNode) { n.Signatures = signatures() })
	other, b := newNode(t, func(n *fakeNode) { n.Signatures = signatures() })
	text := signed("web:/", "m1")
	if got := post(t, a, "send", text, nil); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	other.nats.seen = first.nats.seen // it is one NATS
	if got := post(t, b, "send", text, nil); got.status != http.StatusBadRequest || len(other.nats.sent) > 0 {
		t.Errorf("again: %d %s", got.status, got.body)
	}
	if got := post(t, a, "send", signed(string(postedTo)+"@client:/", "m2"), nil); got.status != http.StatusBadRequest || len(first.nats.sent) != 1 {
		t.Errorf("in the name of a session: %d %s", got.status, got.body)
	}
	first.nats.err = store.ErrUnavailable
	if got := post(t, a, "send", signed("web:/", "m3"), nil); got.status != http.StatusServiceUnavailable || len(first.nats.sent) != 1 {
		t.Errorf("while NATS is away: %d %s", got.status, got.body)
	}
	_, c := newNode(t, func(n *fakeNode) { n.Signatures = signatures().OnlySessions() })
	if got := post(t, c, "send", signed("web:/", "m4"), nil); got.status != http.StatusBadRequest {
		t.Errorf("where only sessions send: %d %s", got.status, got.body)
	}
}
