package edge

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"hydrant/integration/harness"
)

// cluster is three servers, of which one reaches its peers, and is reached by them,
// through proxies only.
type cluster struct {
	lone    *server.Server
	others  []*server.Server
	between []*harness.Proxy
}

// cut lets nothing pass between the lone server and the others.
func (c *cluster) cut(on bool) {
	for _, p := range c.between {
		p.Set(harness.Weather{Blackhole: on})
	}
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	routes, through := make([]string, 3), make([]string, 3) // addresses of routes, and of the proxies before them
	for i := range routes {
		addr, err := harness.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		p, err := harness.NewProxy(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		c.between = append(c.between, p)
		routes[i], through[i] = "nats://"+addr, p.Addr()
	}
	start := func(i int, peers string) *server.Server {
		_, text, err := net.SplitHostPort(routes[i][len("nats://"):])
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return natsOn(t, server.Options{ServerName: fmt.Sprint("n", i), Routes: server.RoutesFromStr(peers),
			Cluster: server.ClusterOpts{Name: "C", Host: "127.0.0.1", Port: port, Advertise: through[i], PoolSize: -1}})
	}
	lone := "nats://" + through[0]
	one, two := start(1, routes[2]+","+lone), start(2, routes[1]+","+lone)
	c.others = []*server.Server{one, two}
	wait := func(condition func() bool) {
		t.Helper()
		if err := harness.Until(t.Context(), func() error {
			if !condition() {
				return errors.New("not yet")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	wait(func() bool { return one.NumRoutes() > 0 && two.NumRoutes() > 0 }) // they reach each other directly
	c.lone = start(0, "nats://"+through[1]+",nats://"+through[2])
	wait(func() bool { return c.lone.NumRoutes() >= 2 && one.JetStreamIsCurrent() && c.lone.JetStreamIsCurrent() })
	return c
}

// TestServerCutFromItsPeers: a node whose NATS server is cut from its peers keeps its
// connection, and nothing is acknowledged over it. It says so, and goes to a server
// that acknowledges; its clients stay and are served there.
func TestServerCutFromItsPeers(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	b := launch(t, c.lone.ClientURL(), nil)
	from, to := b.dial(), b.dial()
	b.passes(from, to)
	if at := b.nats.link.Load().conn.ConnectedServerName(); at != "n0" {
		t.Fatalf("the node is connected to %s", at)
	}
	c.cut(true)
	b.reason("acks: ")
	b.until(func() error {
		if at := b.nats.link.Load().conn.ConnectedServerName(); at != "n1" && at != "n2" {
			return fmt.Errorf("connected to %q", at)
		}
		return nil
	})
	b.well()
	b.passes(from, to)
	b.passes(b.dial(), to)
	if n := b.events("moved"); n != 1 {
		t.Errorf("it moved %v times", n)
	}
	if !from.Alive() || !to.Alive() {
		t.Error("a client is gone")
	}
	c.cut(false)
}

// TestNoQuorumAnywhere: where no server acknowledges, the node stays where it is: a
// new connection would put its sessions in doubt, and gain nothing.
func TestNoQuorumAnywhere(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	b := launch(t, c.lone.ClientURL(), nil)
	b.well()
	l := b.nats.link.Load()
	c.others[0].Shutdown()
	b.well() // two of three are enough
	c.others[1].Shutdown()
	b.reason("acks: ")
	if host, found := b.scout(l, "n0"); found {
		t.Errorf("%s is said to acknowledge", host)
	}
	if b.move(l) || b.events("moved") > 0 || l.conn.ConnectedServerName() != "n0" {
		t.Error("the node has moved")
	}
}

// TestStartBesideAServerCutFromItsPeers: a node that begins on such a server can open
// no store there, and goes to another one as well.
func TestStartBesideAServerCutFromItsPeers(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	launch(t, c.others[0].ClientURL(), nil).well() // makes the streams
	c.cut(true)
	b := launch(t, c.lone.ClientURL(), nil)
	b.well()
	if at := b.nats.link.Load().conn.ConnectedServerName(); at != "n1" && at != "n2" {
		t.Errorf("connected to %q", at)
	}
	from, to := b.dial(), b.dial()
	b.passes(from, to)
	c.cut(false)
}
