// Command wireecho serves package wire as a plain echo: it sends every message back
// to its client, text as text and binary as binary. There is no greeting and there
// are no server pings, so that public conformance suites and load generators
// can be run against the very layer that the edge uses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"hydrant/edge/internal/wire"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "wireecho:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0: any, see the first line of output")
	compress := flag.Bool("compress", false, "agree to permessage-deflate")
	transport := flag.String("transport", "", "epoll or conn; default: the best here")
	maxBytes := flag.Int64("max", 64<<20, "largest message in bytes")
	fragments := flag.Int("fragments", 1<<20, "most frames of a message")
	loops := flag.Int("loops", 0, "event loops; 0: one per core")
	push := flag.Bool("push", false, "obey \"push COUNT BURST SIZE RATE\", SIGUSR1 (collect garbage) and SIGUSR2 (free memory)")
	attached := flag.Bool("attached", false, "end when standard input does, as with the program that holds it")
	cert := flag.String("cert", "", "certificate file: serve TLS")
	key := flag.String("key", "", "its key file")
	flag.Parse()

	o := wire.Options{
		Loops:        *loops,
		Transport:    wire.Transport(*transport),
		MaxMessage:   *maxBytes,
		MaxFragments: *fragments,
		Compression:  *compress,
		ControlRate:  -1,
	}
	if *cert != "" {
		certs, err := wire.LoadCertificates(*cert, *key, nil)
		if err != nil {
			return err
		}
		o.TLS = certs.Config()
	}
	var h wire.Handler = echo{}
	pushes := &pusher{}
	if *push {
		h = pushes
		memorySignals()
	}
	srv, err := wire.NewServer(o, h, http.NotFoundHandler())
	if err != nil {
		return err
	}
	pushes.srv = srv
	return serve(srv, *listen, *attached)
}

// serve serves until it is told to end; attached: or standard input ends.
func serve(srv *wire.Server, listen string, attached bool) error {
	srv.Start()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if attached {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if e := srv.Shutdown(grace); e != nil && !errors.Is(e, context.DeadlineExceeded) {
		err = errors.Join(err, e)
	}
	return err
}

// echo is the handler. When a peer does not read its echo, its next message is
// not read either.
type echo struct{}

func (echo) Upgrade(*wire.Request) (wire.Accept, error) { return wire.Accept{}, nil }

func (echo) Open(*wire.Conn) {}

func (echo) Message(c *wire.Conn, text bool, p []byte) {
	var queued, room bool
	if text {
		queued, room = c.Send(p)
	} else {
		queued, room = c.SendBinary(p)
	}
	if queued && !room {
		c.Pause()
	}
}

func (echo) Pong(*wire.Conn, []byte) {}

func (echo) Writable(c *wire.Conn) { c.Resume() }

func (echo) Closed(*wire.Conn, wire.CloseReason) {}

func (echo) Flush(*wire.Loop) {}

func (echo) Hangup(*wire.Conn)                 {}
func (echo) Stalled(*wire.Loop, time.Duration) {}
