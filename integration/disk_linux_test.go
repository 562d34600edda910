package integration

import (
	"strconv"
	"testing"

	"hydrant/integration/harness"
)

// R17: the disk is full. Senders are told, sockets stay, what was accepted
// stays; when there is space again (and the server runs again: nats-server
// gives a stream up whose file could not be written) everything goes on.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	w := own(t, harness.NATSOptions{})
	node := w.start(t, "full disk", map[string]string{"EDGE_MAILBOX_STREAMS": "1"})
	from, to := dial(t, node), dialAcked(t, node)
	w.pushNumbers(t, to.ID, 0, 3)
	to.wantBodies(0, 3)
	server := w.nats.Servers[0]
	if err := server.LimitFiles(4096); err != nil {
		t.Fatal(err)
	}
	next := 3
	for delivered(t, to, from, from.send(object{"to": to.Address(), "bdy": strconv.Itoa(next)})) {
		if next++; next > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	from.fence()
	to.fence()
	server.Kill()
	w.restartNATS(t, node) // the limit was the old process's
	w.persistent(t, to.ID, 2000, 2003)
	// What the sender was told is not stored may have been, and comes first.
	to.find(func(m message) bool { return m.Body() == "2000" })
	to.wantBodies(2001, 2003)
	from.quiet()
}
