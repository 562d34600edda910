package bus

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// dialer opens the sockets of a connection. nats.go holds the lock that nearly
// all of its calls take while it dials, and by itself looks a name up without any
// bound: a resolver that says nothing would hold up publishing, and Close, for half
// a minute each time. Here the look-up is part of what BlockTimeout bounds.
type dialer struct {
	timeout time.Duration
	nkey    func() (string, error)    // reads the public key; nil: there is none
	conn    atomic.Pointer[nats.Conn] // whose nkey is kept up to date
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.refresh()
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host) // LookupHost waits for its resolver
	if err != nil {
		return nil, err
	}
	// A name may stand for all servers of a cluster: clients spread over them.
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	deadline, _ := ctx.Deadline()
	for i, a := range addresses {
		share := time.Until(deadline) / time.Duration(len(addresses)-i)
		var conn net.Conn
		if conn, err = (&net.Dialer{Timeout: max(share, time.Millisecond)}).DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// refresh takes the public key that the seed's file holds now. nats.go calls Dial
// with its lock held, and reads the option under it afterwards; it has a callback
// for each credential but this one.
func (d *dialer) refresh() {
	nc := d.conn.Load()
	if nc == nil || d.nkey == nil {
		return
	}
	if key, err := d.nkey(); err == nil { // else the file is being replaced
		nc.Opts.Nkey = key
	}
}
