package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/store"
)

// TestPostLarge: the limit is that of the body, beside which the rest of the message has
// room; what NATS does not take is refused as what the node does not.
func TestPostLarge(t *testing.T) {
	message := func(body, more int) string {
		return fmt.Sprintf(`{"to":"svc:[POST]/p","frm":"web:/","bdy":"%s","hdr":{"h":"%s"}}`, strings.Repeat("x", body-2), strings.Repeat("h", more))
	}
	session := strings.ReplaceAll(message(100, 1), "svc:[POST]/p", string(testSID)+"@client:/")
	for _, test := range []struct {
		name   string
		err    error
		body   string
		status int
	}{
		{"the limit", nil, message(4096, 1), 200},
		{"the limit, and headers", nil, message(4096, 30<<10), 200},
		{"too much", nil, message(4096, 33<<10), 413},
		{"a body that is too large", nil, message(40<<10, 1), 413},
		{"too much for NATS", nats.ErrMaxPayload, message(4096, 1), 413},
		{"too much for NATS, in other words", fmt.Errorf("%w: 2 MB", nats.ErrMaxPayload), message(4096, 1), 413},
	} {
		for _, path := range []string{"send", "queue", "message"} {
			_, a := newNode(t, func(n *fakeNode) {
				n.Config.MaxMessage = 4096
				n.nats.answer, n.nats.err = []byte(`{"to":"x:/","frm":"svc:/","bdy":1}`), test.err
			})
			if got := post(t, a, path, test.body, nil); got.status != test.status {
				t.Errorf("%s, %s: %d %s", test.name, path, got.status, got.description)
			}
		}
	}
	_, a := newNode(t, func(n *fakeNode) { n.nats.err = fmt.Errorf("%w: 2 MB", store.ErrTooLarge) })
	if got := post(t, a, "send", session, nil); got.status == http.StatusOK {
		t.Errorf("to a session: %d", got.status)
	}
}
