package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"hydrant/edge/internal/wire"
)

// pusher is an echo that can also be told to push, for measurements: the text
// message "push COUNT BURST SIZE RATE" has it send COUNT messages of SIZE bytes to
// every connection, BURST to one before it turns to the next, RATE bursts a
// second in all. They come from a goroutine outside the loops; a burst is
// posted at once, so that it is pending together.
type pusher struct {
	echo
	srv *wire.Server // set before Serve
}

func (p *pusher) Message(c *wire.Conn, text bool, m []byte) {
	if !bytes.HasPrefix(m, []byte("push ")) {
		p.echo.Message(c, text, m)
		return
	}
	var count, burst, size, rate int
	if _, err := fmt.Sscanf(string(m), "push %d %d %d %d", &count, &burst, &size, &rate); err == nil {
		go p.push(count, burst, size, rate)
	}
}

// connections lists the open connections; each loop lists its own.
func (p *pusher) connections() (all []*wire.Conn) {
	for _, l := range p.srv.Loops() {
		done := make(chan struct{})
		err := l.PostWait(context.Background(), func() {
			for c := range l.Open() {
				all = append(all, c)
			}
			close(done)
		})
		if err == nil {
			<-done
		}
	}
	return all
}

func (p *pusher) push(count, burst, size, rate int) {
	all := p.connections()
	m := bytes.Repeat([]byte{'x'}, size)
	ctx := context.Background()
	start := time.Now()
	for sent := 0; sent < count*len(all); {
		due := min(int(time.Since(start).Seconds()*float64(rate))*burst, count*len(all))
		for ; sent < due; sent += burst {
			c := all[sent/burst%len(all)]
			if c.Loop().PostWait(ctx, func() {
				for range burst {
					c.Send(m)
				}
			}) != nil {
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// memorySignals makes SIGUSR1 force a garbage collection, and SIGUSR2 give
// memory back to the system, so that both can be measured from outside.
func memorySignals() {
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
}
