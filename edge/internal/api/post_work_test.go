package api

import (
	"net/http"
	"testing"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// TestPostWorkForNobody: work for a service that has registered no queue is refused, and
// nothing is stored; where that is not known, too.
func TestPostWorkForNobody(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		text   string
		stored int
	}{
		"none":      {nil, http.StatusNotFound, "No work queue is registered for none", 0},
		"new":       {nil, http.StatusOK, "Operation succeeded", 1}, // since this node looked
		"not-known": {store.ErrUnavailable, http.StatusServiceUnavailable, errUnavailable.text, 0},
	} {
		n, a := newNode(t, func(n *fakeNode) {
			n.nats.queues = fakeQueues{map[scheme.Service]bool{"none": false, "new": true, "not-known": false}, test.err}
		})
		for _, to := range []string{`"to":"` + name + `:/job"`, `"to":"hydra-router:/queue","forward":"` + name + `:/job"`, `"to":"x@` + name + `:[GET]/"`} {
			n.nats.stored = nil
			got := post(t, a, "queue", `{`+to+`,"frm":"web:/","bdy":1}`, nil)
			if got.status != test.status || test.stored == 0 && got.description != test.text || len(n.nats.stored) != test.stored {
				t.Errorf("%s: %d %s, and %d messages are stored", to, got.status, got.description, len(n.nats.stored))
			}
		}
	}
}
