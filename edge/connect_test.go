package edge

import (
	"net"
	"sync/atomic"
	"testing"

	"hydrant/integration/harness"
)

// stuckDialer connects to a server that stops reading when it is told to.
type stuckDialer struct {
	stuck   atomic.Bool
	writing chan struct{} // gets one for the first write that does not return
	free    chan struct{} // closed by the test: writes return again
}

func (d *stuckDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &stuckConn{conn, d}, err
}

type stuckConn struct {
	net.Conn
	*stuckDialer
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.stuck.Load() {
		select {
		case c.writing <- struct{}{}:
		default:
		}
		<-c.free
	}
	return c.Conn.Write(p)
}

// TestNATSStopsReading: nats.go holds the lock that nearly all of its calls take
// while it writes to a server that does not read. A loop takes no such call: its
// clients are served meanwhile, whatever they send, and so is everybody else.
func TestNATSStopsReading(t *testing.T) {
	r := run(t, func(*Config) {})
	_, here, elsewhere := r.crowd(2)
	c, to := here[0], here[1]
	r.send(c, harness.Object{"to": to.Address(), "mid": "known", "bdy": 1}) // its session is looked up
	if _, err := to.Find(t.Context(), func(m harness.Message) bool { return m.Mid() == "known" }); err != nil {
		t.Fatal(err)
	}
	d := &stuckDialer{writing: make(chan struct{}, 1), free: make(chan struct{})}
	r.nc.Opts.CustomDialer = d
	before := r.epoch() // takes the lock, so that the dialer is seen
	r.network.Cut()
	r.until(func() error {
		if r.epoch() == before || !r.connected.Load() {
			return errNotYet
		}
		return nil
	})
	d.stuck.Store(true)
	defer close(d.free)
	r.send(c, harness.Object{"to": "svc:[GET]/p", "bdy": 1})
	<-d.writing
	for _, address := range []string{"svc:[GET]/p", to.Address(), "svc:/queue", "hydra-router:[GET]/v1/router/list/nodes"} {
		r.send(c, harness.Object{"to": address, "bdy": 1})
		r.serves(c)
	}
	r.serves(elsewhere)
}
