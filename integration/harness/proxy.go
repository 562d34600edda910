package harness

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Proxy is the network between a client and a server, on loopback: bytes
// pass through it unless it is told to be bad. Its methods may be called
// concurrently.
type Proxy struct {
	// Immutable after NewProxy.
	listener net.Listener
	target   string
	dialer   net.Dialer
	closed   chan struct{} // closed by Close
	done     sync.WaitGroup

	// Guarded by mu.
	mu      sync.Mutex
	weather Weather
	changed chan struct{} // closed and replaced when weather changes
	links   map[*link]struct{}
}

// Weather is what the network does with bytes.
type Weather struct {
	Delay     time.Duration // added to every chunk, each way
	Rate      int           // bytes a second from server to client; 0: no limit
	Blackhole bool          // nothing passes, and nobody is told
}

// link is one connection through the proxy.
type link struct {
	client *net.TCPConn
	server *net.TCPConn
	held   atomic.Pointer[Held] // nil: what the client sends goes on to the server
}

// chunkBytes bounds what a pump holds: it stands for the bytes in flight.
const chunkBytes = 16 << 10

// NewProxy listens on a free address of 127.0.0.1 and forwards to target.
func NewProxy(target string) (*Proxy, error) { return NewProxyFrom(nil, target) }

// NewProxyFrom does the same, and connects to target from a host's address, which
// must be one of this process's.
func NewProxyFrom(host *Host, target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, closed: make(chan struct{}),
		changed: make(chan struct{}), links: make(map[*link]struct{})}
	if host != nil {
		p.dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(host.IP)}
	}
	p.done.Add(1)
	go p.accept()
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes the weather for what is and what will be connected.
func (p *Proxy) Set(weather Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = weather
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut resets every connection, both ends, and returns how many there were.
func (p *Proxy) Cut() int {
	all := p.all()
	for _, l := range all {
		reset(l.client)
		reset(l.server)
	}
	return len(all)
}

// Links is how many connections there are.
func (p *Proxy) Links() int { return len(p.all()) }

// LoseClients makes every connection half-open: the client's end is gone, the
// server is not told. It returns how many there were.
func (p *Proxy) LoseClients() int {
	p.mu.Lock()
	p.weather.Blackhole = true // or the pump would pass the end on
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	all := p.all()
	for _, l := range all {
		reset(l.client)
	}
	return len(all)
}

func (p *Proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*link, 0, len(p.links))
	for l := range p.links {
		all = append(all, l)
	}
	return all
}

// reset closes with a RST (linger 0). A connection that is closed already is
// what was wanted.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	close(p.closed)
	_ = p.listener.Close() // ends accept
	p.Cut()
	p.done.Wait()
}

func (p *Proxy) accept() {
	defer p.done.Done()
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.done.Add(1)
		go p.connect(conn.(*net.TCPConn))
	}
}

func (p *Proxy) connect(client *net.TCPConn) {
	defer p.done.Done()
	conn, err := p.dialer.Dial("tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, server: conn.(*net.TCPConn)}
	p.mu.Lock()
	p.links[l] = struct{}{}
	p.mu.Unlock()
	select {
	case <-p.closed: // after Close has looked at the links
		reset(l.client)
		reset(l.server)
	default:
	}
	var towardsServer sync.WaitGroup
	towardsServer.Go(func() { p.pump(l, l.server, l.client, false) })
	p.pump(l, l.client, l.server, true)
	towardsServer.Wait() // one direction may outlive the other
	_ = l.client.Close() // without a RST, which would overtake the last bytes
	_ = l.server.Close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// pump moves bytes one way until an end fails, then ends the other the way a
// network would: a FIN for a FIN, a RST for anything else, and nothing at all
// while the weather is a blackhole.
func (p *Proxy) pump(l *link, to, from *net.TCPConn, towardsClient bool) {
	buffer := make([]byte, chunkBytes)
	for {
		if !p.wait(0) {
			return
		}
		n, err := from.Read(buffer[:p.chunk(towardsClient)])
		if held := l.held.Load(); held != nil {
			if held.take(p, buffer[:n], err, towardsClient) {
				continue
			}
			return
		}
		if n > 0 {
			if !p.wait(p.cost(n, towardsClient)) {
				return
			}
			if _, werr := to.Write(buffer[:n]); werr != nil {
				if l.held.Load() == nil {
					reset(from)
				}
				return
			}
		}
		if err == nil {
			continue
		}
		if !p.wait(0) {
			return
		}
		if !errors.Is(err, io.EOF) {
			reset(to)
		} else {
			_ = to.CloseWrite()
		}
		return
	}
}

// chunk is how many bytes may be taken at once: an eighth of a second's worth.
func (p *Proxy) chunk(towardsClient bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.weather.Rate > 0 && towardsClient {
		return min(chunkBytes, max(1, p.weather.Rate/8))
	}
	return chunkBytes
}

func (p *Proxy) cost(n int, towardsClient bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	cost := p.weather.Delay
	if p.weather.Rate > 0 && towardsClient {
		cost += time.Duration(n) * time.Second / time.Duration(p.weather.Rate)
	}
	return cost
}

// wait lets d pass, then waits for the blackhole to end. It returns false
// when the proxy is closed. A change of the weather ends the delay.
func (p *Proxy) wait(d time.Duration) bool {
	for {
		p.mu.Lock()
		hole, changed := p.weather.Blackhole, p.changed
		p.mu.Unlock()
		if !hole && d <= 0 {
			return true
		}
		var timer <-chan time.Time
		if !hole {
			timer = time.After(d)
		}
		select {
		case <-timer:
			d = 0
		case <-changed:
			d = 0
		case <-p.closed:
			return false
		}
	}
}
