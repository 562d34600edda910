package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// peer is a server to compare with: it serves on ln until the process ends.
type peer func(ln net.Listener) error

var peers = map[string]peer{
	"raw":     serveRaw,
	"gobwas":  serveGobwas,
	"gorilla": serveGorilla,
	"coder":   serveCoder,
	"gws":     serveGws,
}

// sink is a connection that messages can be written to, by one goroutine at a
// time.
type sink interface {
	writeText(p []byte) error
}

// registry are the open connections, for pushing.
type registry struct {
	mu    sync.Mutex
	sinks map[sink]struct{}
}

var open = registry{sinks: make(map[sink]struct{})}

func (r *registry) add(s sink) {
	r.mu.Lock()
	r.sinks[s] = struct{}{}
	r.mu.Unlock()
}

func (r *registry) remove(s sink) {
	r.mu.Lock()
	delete(r.sinks, s)
	r.mu.Unlock()
}

// command handles a message that is not to be echoed: "push COUNT BURST SIZE
// RATE" writes COUNT messages of SIZE bytes to every connection, BURST to one
// before the next has its turn, RATE bursts a second in all.
func command(p []byte) bool {
	if !bytes.HasPrefix(p, []byte("push ")) {
		return false
	}
	var count, burst, size, rate int
	if _, err := fmt.Sscanf(string(p), "push %d %d %d %d", &count, &burst, &size, &rate); err == nil {
		go open.push(count, burst, size, rate)
	}
	return true
}

func (r *registry) push(count, burst, size, rate int) {
	r.mu.Lock()
	all := make([]sink, 0, len(r.sinks))
	for s := range r.sinks {
		all = append(all, s)
	}
	r.mu.Unlock()
	p := bytes.Repeat([]byte{'x'}, size)
	start := time.Now()
	for sent := 0; sent < count*len(all); {
		due := min(int(time.Since(start).Seconds()*float64(rate))*burst, count*len(all))
		for ; sent < due; sent += burst {
			c := all[sent/burst%len(all)]
			for range burst {
				if c.writeText(p) != nil {
					break
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// serve runs one peer: `wire serve NAME`.
func serve(name string) error {
	p, ok := peers[name]
	if !ok {
		return fmt.Errorf("no peer %q", name)
	}
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range sig {
			if s == syscall.SIGUSR1 {
				runtime.GC()
			} else {
				debug.FreeOSMemory()
			}
		}
	}()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return p(ln)
}
