package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"time"
)

// Transport is a way to read sockets.
type Transport string

const (
	// TransportEpoll reads raw descriptors with edge-triggered epoll: Linux.
	TransportEpoll Transport = "epoll"
	// TransportConn reads each connection with a goroutine, which feeds the
	// loop: for TLS in the process, and on every other system.
	TransportConn Transport = "conn"
)

// Options configure a Server. The zero value of a field means the default in its
// comment. There are many fields because each bound is one.
type Options struct {
	// Loops is the number of event loops; 0: one per GOMAXPROCS.
	Loops int
	// Transport; "": epoll on Linux without TLS, else conn.
	Transport Transport
	// TLS, if set, is spoken on every connection.
	TLS *tls.Config

	// MaxMessage bounds the bytes of a message, also after inflating: 1 MiB.
	MaxMessage int64
	// MaxFragments bounds the frames of a message: 1024.
	MaxFragments int
	// MaxHandshake bounds the bytes of a request head: 16 KiB.
	MaxHandshake int
	// WriteBuffer is how many bytes may be queued for a socket before Send
	// reports that there is no room. Beyond twice that, not counting the frame
	// with which it was exceeded, Send refuses. 256 KiB.
	WriteBuffer int
	// BufferMemory bounds the bytes of all partial messages and queued output
	// of the server. At the bound the connection that holds most of it is closed
	// with 1013, and of several the one that has held it for longest. 0: no bound.
	BufferMemory int64
	// Inbox bounds the tasks that wait for a loop: 16,384.
	Inbox int

	// HandshakeTimeout bounds the time to a complete request: 10 s.
	HandshakeTimeout time.Duration
	// PingInterval is the silence after which a Ping is sent. After twice that
	// without a byte the socket counts as dead. 0: no pings.
	PingInterval time.Duration
	// MessageTimeout bounds the time from a message's first byte to its last: 30 s,
	// and a second more for each 8 KiB that have come.
	MessageTimeout time.Duration
	// WriteTimeout bounds how long a peer may receive nothing while something is
	// queued for it: 30 s.
	WriteTimeout time.Duration
	// CloseTimeout bounds a close handshake, draining included, and the time for
	// plain HTTP at a shutdown: 5 s.
	CloseTimeout time.Duration
	// StallLimit is the pause of a loop after which Handler.Stalled is called:
	// 750 ms.
	StallLimit time.Duration

	// MaxConnections bounds the sockets of the server. Some more are accepted
	// (Reserve), to answer 503 and to keep plain HTTP reachable. 0: no bound.
	MaxConnections int
	// MaxConnectionsPerAddress counts IPv6 by /64. 0: no bound.
	MaxConnectionsPerAddress int
	// MaxPlain bounds concurrent plain HTTP connections: 256.
	MaxPlain int
	// MessageRate and ByteRate bound the messages and bytes that a connection
	// sends in a second; 0: no bound. The bursts default to one second's worth.
	MessageRate, MessageBurst float64
	ByteRate, ByteBurst       float64
	// ControlRate bounds the control frames that a connection sends in a
	// second: 100, burst 500; negative: no bound.
	ControlRate, ControlBurst float64

	// Probe answers GET and HEAD of a path on the loop, at once, however many plain
	// connections there are: for health checks. It must not block. ok is false for
	// every other path. nil: there are none.
	Probe func(path string) (status int, body []byte, ok bool)

	// Compression agrees to permessage-deflate (RFC 7692).
	Compression bool

	// TrustedProxies are the peers whose PROXY header and X-Forwarded-For the
	// server believes.
	TrustedProxies []netip.Prefix
	// ProxyProtocol makes a PROXY header (v1 or v2) mandatory for connections
	// from TrustedProxies. From any other peer it is a malformed request.
	ProxyProtocol bool

	// Logger; nil: slog.Default.
	Logger *slog.Logger
}

// ErrOptions is wrapped by the error that NewServer returns if options contradict
// each other or the system.
var ErrOptions = errors.New("wire: invalid options")

func (o *Options) setDefaults() error {
	setDefault(&o.Loops, runtime.GOMAXPROCS(0))
	setDefault(&o.MaxMessage, 1<<20)
	setDefault(&o.MaxFragments, 1024)
	setDefault(&o.MaxHandshake, 16<<10)
	setDefault(&o.WriteBuffer, 256<<10)
	setDefault(&o.Inbox, 16<<10)
	setDefault(&o.HandshakeTimeout, 10*time.Second)
	setDefault(&o.MessageTimeout, 30*time.Second)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.CloseTimeout, 5*time.Second)
	setDefault(&o.StallLimit, 750*time.Millisecond)
	setDefault(&o.MaxPlain, 256)
	setDefault(&o.MessageBurst, max(1, o.MessageRate))
	setDefault(&o.ByteBurst, max(float64(readSize), o.ByteRate))
	if o.ControlRate == 0 {
		o.ControlRate = 100
		setDefault(&o.ControlBurst, 500)
	}
	setDefault(&o.ControlBurst, max(1, o.ControlRate))
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch o.Transport {
	case "":
		o.Transport = TransportConn
		if haveEpoll && o.TLS == nil {
			o.Transport = TransportEpoll
		}
	case TransportEpoll:
		if !haveEpoll {
			return fmt.Errorf("%w: no epoll on %s", ErrOptions, runtime.GOOS)
		}
		if o.TLS != nil {
			return fmt.Errorf("%w: TLS needs transport %q", ErrOptions, TransportConn)
		}
	case TransportConn:
	default:
		return fmt.Errorf("%w: transport %q", ErrOptions, o.Transport)
	}
	if most := readSize - bigRead; o.MaxHandshake > most {
		return fmt.Errorf("%w: MaxHandshake %d over %d", ErrOptions, o.MaxHandshake, most)
	}
	if o.Loops < 0 || o.MaxMessage < 0 || o.MaxFragments < 0 || o.MaxHandshake < 0 ||
		o.WriteBuffer < 0 || o.Inbox < 0 || o.MaxPlain < 0 || o.MessageRate < 0 || o.ByteRate < 0 ||
		o.HandshakeTimeout < 0 || o.PingInterval < 0 || o.MessageTimeout < 0 || o.WriteTimeout < 0 ||
		o.CloseTimeout < 0 || o.StallLimit < 0 {
		return fmt.Errorf("%w: negative bound", ErrOptions)
	}
	return nil
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
