package chaos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// roomStep is a moment of a round of making room: just before a mover's request goes on to NATS.
type roomStep struct {
	name string
	is   func(harness.Request) bool
	nth  int // of these requests of a round
	// stream is whose leader is killed then.
	stream func(harness.Request) string
}

// roomSteps are all of them. What is before the second of some requests is behind the first.
var roomSteps = []roomStep{
	{"the turn is taken", api(""), 1, func(harness.Request) string { return directory }},
	{"mailboxes are read", api("$JS.API.DIRECT.GET." + scheme.OutStreamPrefix), 1, namedStream},
	{"a message is copied", header(scheme.HeaderCopied), 2, func(r harness.Request) string { return scheme.KeptStream(partitionOf(r)) }},
	{"a mailbox is sealed", header(scheme.HeaderKeptSize), 2, func(r harness.Request) string { return scheme.OutStream(partitionOf(r)) }},
	{"a purge is due", api("$JS.API.STREAM.PURGE." + scheme.OutStreamPrefix), 1, namedStream},
	{"a stream is purged", api("$JS.API.STREAM.PURGE." + scheme.OutStreamPrefix), 2, namedStream},
}

// purge is the request that ends a round.
var purge = roomSteps[4].is

func api(prefix string) func(harness.Request) bool {
	return func(r harness.Request) bool {
		return strings.HasPrefix(r.Subject, "$JS.API."+strings.TrimPrefix(prefix, "$JS.API."))
	}
}

func header(name string) func(harness.Request) bool {
	return func(r harness.Request) bool { return strings.Contains(string(r.Text), name+": ") }
}

// namedStream is the stream of a request to the servers.
func namedStream(r harness.Request) string {
	return r.Subject[strings.LastIndexByte(r.Subject, '.')+1:]
}

// namedSID finds the session that a subject is of.
var namedSID = regexp.MustCompile(`\b[a-z2-7]{26}\b`)

func partitionOf(r harness.Request) int {
	return scheme.StreamIndexOf(scheme.SID(namedSID.FindString(r.Subject)), mailboxStreams)
}

// watch looks at the rounds of all nodes but the calm one, which makes none meanwhile.
type watch struct {
	s    *schedule
	step roomStep

	// Guarded by mu.
	mu     sync.Mutex
	counts map[string]int // by connection
	mover  *node          // stands still; nil: nobody does yet
	asks   harness.Request
	purges int // of others, since then

	reached chan struct{} // closed when the mover stands still
}

// watchFor has the first node stand still that comes to a step.
func (s *schedule) watchFor(step roomStep) *watch {
	w := &watch{s: s, step: step, counts: make(map[string]int), reached: make(chan struct{})}
	for i, n := range s.run.nodes {
		for _, way := range n.ways {
			way.WithholdRequests(func(r harness.Request) bool { return w.holds(i, n, r) })
		}
	}
	return w
}

// goOn lets everything go.
func (w *watch) goOn() {
	for _, n := range w.s.run.nodes {
		for _, way := range n.ways {
			way.Withhold(nil)
		}
	}
}

// wait returns when a mover stands still.
func (w *watch) wait() error {
	select {
	case <-w.reached:
		return nil
	case <-time.After(harness.Patience):
		return fmt.Errorf("chaos: no round comes to where %s", w.step.name)
	}
}

func (w *watch) holds(i int, n *node, r harness.Request) bool {
	if i == 0 {
		return r.Subject == scheme.TurnKey("room")
	}
	if !strings.HasSuffix(r.Conn, "-room") {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.mover == n:
		return true
	case w.mover != nil:
		if purge(r) {
			w.purges++
		}
	case w.step.is(r):
		if w.counts[r.Conn]++; w.counts[r.Conn] == w.step.nth && n.claim() {
			w.mover, w.asks = n, r
			close(w.reached)
			return true
		}
	}
	return false
}

// others is how many streams other nodes have purged.
func (w *watch) others() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.purges
}

// killMovers kills a node at each step of a round.
func (s *schedule) killMovers() error {
	return s.atEachStep(func(w *watch) error {
		n := w.mover
		f, kill := s.note("kill mover when "+w.step.name, n.name), s.note(history.KillNode, n.name)
		n.process.Kill()
		f.bit("the process is gone")
		kill.bit("the process is gone")
		w.goOn()
		s.startAgain(n)
		return nil
	})
}

// roundsBeside is how many rounds others make while a mover stands still before its purge.
const roundsBeside = 3

// freezeMovers freezes a node at each step of a round, has others make rounds meanwhile as if
// there were no turns, and then lets it go on.
func (s *schedule) freezeMovers() error {
	return s.atEachStep(func(w *watch) error {
		n := w.mover
		f := s.note("freeze mover when "+w.step.name, n.name)
		defer n.release()
		if err := n.process.Freeze(); err != nil {
			return err
		}
		want := 1
		if w.step.name == roomSteps[4].name {
			want = roundsBeside * mailboxStreams
		}
		err := sometime(func() error {
			if got := w.others(); got < want {
				s.endTurn()
				return fmt.Errorf("chaos: others have purged %d streams, of %d", got, want)
			}
			return nil
		})
		if err == nil {
			f.bit(fmt.Sprintf("others have purged %d streams", w.others()))
		}
		err = errors.Join(err, n.process.Thaw())
		w.goOn()
		return err
	})
}

// endTurn lets another node make room, whoever has the turn.
func (s *schedule) endTurn() {
	_ = s.run.nc.Publish(scheme.TurnKey("room"), nil) // if it is lost, it is ended again
}

// killLeaders kills, at each step of a round, the server that leads what the step is about.
func (s *schedule) killLeaders() error {
	return s.atEachStep(func(w *watch) error {
		defer w.mover.release()
		stream := w.step.stream(w.asks)
		<-s.servers
		var server *harness.NATSServer
		if err := sometime(func() error {
			if server = s.leader(stream); server == nil {
				return fmt.Errorf("chaos: %s has no leader", stream)
			}
			return nil
		}); err != nil {
			return err
		}
		s.killAndStart(s.note("kill leader when "+w.step.name, server.Name+" of "+stream), server, time.Second)
		w.goOn()
		<-s.servers // it is back
		s.servers <- struct{}{}
		return nil
	})
}

// ordersAStep is how often some clients go, stop or move before each step.
const ordersAStep = 6

// atEachStep does something to a mover at each step, in streams that are filled again and
// again.
func (s *schedule) atEachStep(do func(*watch) error) error {
	filling, stop := context.WithCancel(context.Background())
	s.running.Go(func() { s.fill(filling) })
	defer stop()
	for _, step := range roomSteps {
		for range ordersAStep { // so that mail waits
			s.order()
		}
		w := s.watchFor(step)
		err := w.wait()
		if err == nil {
			err = do(w)
		}
		w.goOn()
		if err != nil {
			return err
		}
		s.hold(time.Second, 2*time.Second)
	}
	return nil
}

const (
	// fillTo is the share up to which streams are filled: room is made from 60 % on, and what
	// clients are sent must not fill the rest before the next round.
	fillTo   = 0.66
	fillSize = 16 << 10
)

// fill keeps the streams of mailboxes so full that room is to be made, with what nobody waits
// for.
func (s *schedule) fill(ctx context.Context) {
	r := s.run
	for ctx.Err() == nil {
		nap(ctx, 100*time.Millisecond)
		for i := range mailboxStreams {
			st, err := r.js.Stream(ctx, scheme.OutStream(i))
			if err != nil {
				continue
			}
			info := st.CachedInfo()
			missing := int64(fillTo*float64(info.Config.MaxBytes)) - int64(info.State.Bytes)
			var acks []jetstream.PubAckFuture
			for ; missing > 0; missing -= fillSize {
				ack, err := r.js.PublishMsgAsync(&nats.Msg{Subject: scheme.MailboxSubject(scheme.NewSIDIn(i, mailboxStreams)),
					Header: nats.Header{scheme.HeaderMark: []string{"1"}}, Data: make([]byte, fillSize)})
				if err != nil {
					break
				}
				acks = append(acks, ack)
			}
			late := time.After(askPatience) // a leader that is gone acknowledges nothing
			for _, ack := range acks {
				select {
				case <-ack.Ok():
				case <-ack.Err():
				case <-late:
					late = time.After(0)
				}
			}
		}
	}
}
