package api

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"hydrant/bus/store"
)

// TestPostUnconfirmed: what may have been stored is not told as refused.
func TestPostUnconfirmed(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		text   string
	}{
		{fmt.Errorf("%w: no acknowledgement", store.ErrUnconfirmed), http.StatusGatewayTimeout, "Message was not confirmed as stored"},
		{fmt.Errorf("%w: %w", store.ErrUnconfirmed, context.DeadlineExceeded), http.StatusGatewayTimeout, "Message was not confirmed as stored"},
		{fmt.Errorf("%w: no leader", store.ErrUnavailable), http.StatusServiceUnavailable, "Messaging is unavailable"},
		{fmt.Errorf("%w: 2 MB", store.ErrTooLarge), http.StatusRequestEntityTooLarge, "Message is too large"},
	} {
		_, a := newNode(t, func(n *fakeNode) { n.nats.err = test.err })
		if got := post(t, a, "queue", `{"to":"svc:/p","frm":"web:/","bdy":1}`, nil); got.status != test.status || got.description != test.text {
			t.Errorf("%v: told as %d %s", test.err, got.status, got.description)
		}
	}
}
