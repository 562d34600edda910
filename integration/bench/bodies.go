package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"hydrant/integration/harness"
)

// Large bodies by path, many at a time, and what others feel of them. They come from a
// process of its own that gives way to all others, and so does the service that answers
// them: both stand for other machines. The node and NATS have the priority of WebSockets'
// clients and of the service that these ask.
const (
	bodiesCommand = "bodies" // the first argument of such a process
	bodiesTimes   = 20       // they are so many times as long as other measurements: a minute
	bodiesTurns   = 6        // in which they are measured
	bodiesAtOnce  = 64
	bodyBytes     = 512 << 10
	bodiesRate    = 500 // messages of WebSocket clients beside them, a second
)

// bodiesProcess is such a process, if args say so; it does not return then.
func bodiesProcess(args []string) {
	if len(args) != 4 || args[1] != bodiesCommand {
		return
	}
	length, err := time.ParseDuration(args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: bodiesAtOnce}}
	end, body := time.Now().Add(length), bytes.Repeat([]byte("0123456789abcdef"), bodyBytes/16)
	var sent, refused, failed atomic.Int64
	fmt.Println("begun")
	var work sync.WaitGroup
	for range bodiesAtOnce {
		work.Go(func() {
			for time.Now().Before(end) {
				switch status, err := putBody(client, args[2], body); {
				case err != nil:
					failed.Add(1)
				case status == http.StatusOK:
					sent.Add(1)
				default:
					refused.Add(1)
				}
			}
		})
	}
	work.Wait()
	fmt.Printf("%d bodies came back, %d were refused, %d failed\n", sent.Load(), refused.Load(), failed.Load())
	os.Exit(0)
}

func putBody(client *http.Client, addr string, body []byte) (status int, err error) {
	request, err := http.NewRequest(http.MethodPut, "http://"+addr+"/v1/web/body", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "image/x-own")
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil && answer.StatusCode == http.StatusOK && n != int64(len(body)) {
		err = errWeb
	}
	return answer.StatusCode, err
}

// bodies measures WebSocket clients alone and beside large bodies, in turns, so that what
// else the machine does falls on both.
func bodies(ctx context.Context, b *bench) error {
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	if err := errors.Join(b.service(ctx), b.startWeb(ctx, node, behind)); err != nil {
		return err
	}
	turn := *b
	turn.duration = b.duration * bodiesTimes / bodiesTurns
	var empty footprint
	var most int64
	for i := range bodiesTurns {
		quiet, err := turn.beside(ctx, node, "WebSockets, quiet")
		if err != nil {
			return err
		}
		if i == 0 {
			if empty, err = b.settle(ctx, node); err != nil {
				return err
			}
		}
		load, err := turn.besideBodies(ctx, node)
		if err != nil {
			return err
		}
		most = max(most, load.memory)
		burnt, err := turn.besideBurning(ctx, func() (*row, error) {
			return turn.beside(ctx, node, "WebSockets, beside as much use of processors")
		}, load.burning(quiet)...)
		if err != nil {
			return err
		}
		b.p99("beside bodies : quiet", load.row, quiet, 2)
		b.p99("beside as much use of processors : quiet", burnt, quiet, 0)
		b.p99("beside bodies : beside as much use of processors", load.row, burnt, 0)
	}
	fmt.Fprintf(os.Stderr, "memory of the node: %.0f MiB before, %.0f MiB at the most\n", empty.private/(1<<20), float64(most)/(1<<20))
	// In each of its copies in a node, and what the runtime has not collected.
	b.report.ratio("memory of the node beyond the quiet : all bodies at once", (float64(most)-empty.private)/(bodiesAtOnce*bodyBytes), 16)
	return nil
}

// p99 reports WebSockets' p99 in one turn as a share of what it is in another.
func (b *bench) p99(name string, r, of *row, most float64) {
	b.report.ratio("WebSockets' p99, "+name, float64(r.percentile(99))/max(1, float64(of.percentile(99))), most)
}

// load is a turn beside bodies.
type load struct {
	*row
	memory int64   // the most that the node has had
	others float64 // processors that the bodies' sender and their service have used
	rate   float64 // bodies that came back, a second
}

// burning is as much use of the processors as the bodies make of them, by programs of the
// same priorities, and as often: the sender and the service, and what the node and NATS
// use more than in the quiet.
func (l *load) burning(quiet *row) []burning {
	share := func(r *row) float64 { return (r.nodes[0] + r.nats).Seconds() / r.elapsed.Seconds() }
	every := time.Duration(float64(time.Second) / max(1, l.rate))
	return []burning{{true, l.others, every}, {false, max(0, share(l.row)-share(quiet)), every}}
}

// besideBodies measures WebSocket clients while the other process sends bodies.
func (b *bench) besideBodies(ctx context.Context, node *harness.Node) (*load, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := behind(self, bodiesCommand, node.Addr, (b.duration + 2*time.Second).String())
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	in := bufio.NewReader(out)
	if _, err := in.ReadString('\n'); err != nil { // it has begun
		return nil, err
	}
	begun := time.Now()
	before, err := processorTimes(child.Process.Pid, b.web.PID())
	if err != nil {
		return nil, err
	}
	most, stop := b.watchMemory(node)
	loaded, err := b.beside(ctx, node, fmt.Sprintf("WebSockets, beside %d bodies", bodiesAtOnce))
	after, terr := processorTimes(child.Process.Pid, b.web.PID())
	l := &load{row: loaded, others: (after - before).Seconds() / time.Since(begun).Seconds()}
	said, rerr := io.ReadAll(in)
	err = errors.Join(err, terr, rerr, child.Wait())
	stop()
	fmt.Fprintf(os.Stderr, "bodies: %.2f processors for their sender and service; %s", l.others, said)
	l.memory = most.Load()
	if _, serr := fmt.Sscan(string(said), &l.rate); err == nil {
		err = serr
	}
	l.rate /= time.Since(begun).Seconds()
	return l, err
}

// processorTimes is the sum of what processes have used so far.
func processorTimes(pids ...int) (sum time.Duration, err error) {
	for _, pid := range pids {
		used, one := processorTime(pid)
		sum, err = sum+used, errors.Join(err, one)
	}
	return sum, err
}

// watchMemory notes the most memory that a node has, until stop.
func (b *bench) watchMemory(node *harness.Node) (most *atomic.Int64, stop func()) {
	most = new(atomic.Int64)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			if now, err := privateMemory(node.PID()); err == nil && now > most.Load() {
				most.Store(now)
			}
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	return most, func() { close(end); <-ended }
}

// beside is WebSocket clients that ask another service at a rate: that of the bodies has
// enough to do.
func (b *bench) beside(ctx context.Context, node *harness.Node, name string) (*row, error) {
	sockets, err := b.fleet(node.Addr, b.clients, dial)
	defer resetAll(sockets)
	if err != nil {
		return nil, err
	}
	t, tag := &traffic{unordered: true}, b.tag()
	for _, s := range sockets {
		t.streams = append(t.streams, exchange(s, s, echoService+":/", "bench", tag, inRmid(tag)))
	}
	r, err := b.observe(ctx, name, t, atRate(t, bodiesRate), node)
	return r, b.note(r, err)
}
