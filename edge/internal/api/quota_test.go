package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/quota"
)

// TestPostRate: what is posted is paid for as what is sent, before it is taken, by
// number and by bytes, and so is what is asked of the router.
func TestPostRate(t *testing.T) {
	const each = 0.1 // a second, and so fifty times as many in ten
	for name, c := range map[string]struct {
		messages, bytes float64
		body            string
		method, path    string
	}{
		"messages": {each, 0, "x", "POST", "/v1/router/send"},
		"bytes":    {0, 1000 * each, strings.Repeat("x", 1000), "POST", "/v1/router/queue"},
		"requests": {each, 0, "x", "POST", "/v1/router/message"},
		"routes":   {each, 0, "x", "GET", "/v1/router/version"},
	} {
		t.Run(name, func(t *testing.T) {
			n, a := newNode(t, func(n *fakeNode) {
				n.Config.AdminToken = testToken
				limits := quota.Limits{Messages: quota.NewRate(c.messages, 10*time.Second, 1), Bytes: quota.NewRate(c.bytes, 10*time.Second, 1)}
				n.Accounts = quota.NewTable(limits, func() {})
			})
			n.nats.answer = []byte(`{"bdy":1}`)
			taken := 0
			for i := range 200 {
				body := fmt.Sprintf(`{"to":"echo:[get]/","frm":"client:/","mid":"m%d","bdy":"%s"}`, i, c.body)
				got := ask(t, a.Public(), c.method, c.path, body, nil)
				switch got.status {
				case http.StatusOK:
					taken++
				case http.StatusTooManyRequests:
					if got.header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				default:
					t.Fatalf("%d %s", got.status, got.body)
				}
			}
			if taken < 40 || taken > 100 { // and what has come in the time of this test
				t.Errorf("%d of 200 are taken", taken)
			}
			if c.method == "POST" && len(n.nats.sent) != taken {
				t.Errorf("%d went to NATS, %d were taken", len(n.nats.sent), taken)
			}
			if n.counted(t, "hydrant_dropped_total") == 0 {
				t.Error("it is not counted")
			}
			if got := ask(t, a.Public(), "GET", "/v1/router/version", "", bearer(testToken)); got.status != http.StatusOK {
				t.Errorf("administrators: %d", got.status)
			}
			if got := ask(t, a.Public(), "GET", "/readyz", "", nil); got.status != http.StatusOK {
				t.Errorf("health: %d", got.status)
			}
		})
	}
}

// TestPostShare: who posts fills a tenth of a mailbox that nobody reads, as who sends
// does; an address has one share for both.
func TestPostShare(t *testing.T) {
	for _, path := range []string{"send", "queue"} {
		n, a := newNode(t, nil)
		n.nats.sessions = map[scheme.SID]scheme.Entry{testSID: {State: scheme.StateParked}}
		taken := 0
		for i := range 300 {
			body := fmt.Sprintf(`{"to":"%s@client:/","frm":"client:/","mid":"m%d","bdy":1}`, testSID, i)
			got := ask(t, a.Public(), "POST", "/v1/router/"+path, body, nil)
			switch {
			case got.status == http.StatusOK:
				taken++
			case got.status != http.StatusTooManyRequests || got.description != errShare.text:
				t.Fatalf("%d %s", got.status, got.body)
			}
		}
		if taken != 100 || len(n.nats.sent) != taken {
			t.Errorf("%s: %d are taken, %d stored", path, taken, len(n.nats.sent))
		}
	}
}

// TestPostGuesses: who posts to ids that nobody has is bounded as who resumes them.
func TestPostGuesses(t *testing.T) {
	_, a := newNode(t, nil)
	last := 0
	for i := 0; i < 3000 && last != http.StatusTooManyRequests; i++ {
		body := fmt.Sprintf(`{"to":"%s@client:/","frm":"client:/","bdy":1}`, scheme.NewSID())
		last = ask(t, a.Public(), "POST", "/v1/router/send", body, nil).status
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("answered %d", last)
	}
}
