package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// Where a stream of mailboxes is so full a round begins, and where the messages end that
// are stored before it is measured.
const (
	roomFrom   = 0.60
	roomBefore = 0.59
)

// Sessions of the measurements of making room.
const (
	roomOthers  = 2000 // mailboxes that all that is stored beside is spread over
	mailEach    = 20   // one session of so many has mail that waits
	returnShare = 10   // one session of so many comes back at a time
)

// roomSettings say how much is measured of making room.
type roomSettings struct {
	sessions int // parked, beside which room is made
	rounds   int
	parked   int   // for which messages wait
	through  int64 // bytes that are stored for others
	after    int   // sessions that come back after others' messages
	others   int
}

// fullStore is a store whose one stream of mailboxes is given room while it is measured.
type fullStore struct {
	*bench
	ctx      context.Context
	node     *harness.Node
	js       jetstream.JetStream
	subjects []string // of others' mailboxes
	payload  []byte
	stored   int           // messages for others
	waited   time.Duration // for room to be made, while they were stored
	sessions []*comeback
	mail     []uint64 // how many messages each of them has been sent
	before   happened
}

// fullStore sets a store up whose mailboxes have so many bytes, and a node on it.
func (b *bench) fullStore(ctx context.Context, bytes int64, env ...string) (*fullStore, error) {
	b.env = append(append([]string{
		"EDGE_MAILBOX_STREAMS=1", "EDGE_STORE_BYTES=" + strconv.FormatInt(2*bytes, 10), "EDGE_ROOM_WAIT=1s", "EDGE_LINGER=0",
	}, env...), b.env...)
	bin, err := harness.Build()
	if err != nil {
		return nil, err
	}
	setup := exec.CommandContext(ctx, bin.Hydrant, "setup") // so that it begins in the newest form
	setup.Env = append(os.Environ(), append(b.env, "NATS_URL="+b.nats.URL())...)
	if text, err := setup.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("hydrant setup: %w: %s", err, text)
	}
	c := &fullStore{bench: b, ctx: ctx}
	if c.node, err = b.node(ctx, "a"); err != nil {
		return nil, err
	}
	nc, err := b.connect("bench-others")
	if err != nil {
		return nil, err
	}
	if c.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1024)); err != nil {
		return nil, err
	}
	for range roomOthers {
		c.subjects = append(c.subjects, scheme.MailboxSubject(scheme.NewSID()))
	}
	c.payload = []byte(strings.Repeat("-", 200))
	// What was stored before the node has run for a while has to be looked up.
	if err := pause(ctx, b.settled, nil); err != nil {
		return nil, err
	}
	c.before, err = happenings(c.node)
	return c, err
}

// park opens sessions and parks them. Each sends a message before: what was never used is
// forgotten soon.
func (c *fullStore) park(n int) error {
	sockets, err := c.fleet(c.node.Addr, n, dialSecond)
	if err != nil {
		resetAll(sockets)
		return err
	}
	tag := c.tag()
	err = inParallel(n, c.parallel, func(i int) error {
		if err := exchange(sockets[i], sockets[i], "nobody:/", "bench", tag+strconv.Itoa(i)+"-", nil).send(); err != nil {
			return err
		}
		_, err := sockets[i].next() // that there is nobody
		return err
	})
	for _, s := range sockets {
		c.sessions = append(c.sessions, &comeback{sid: s.id, token: s.token})
		s.hangUp()
	}
	c.mail = make([]uint64, n)
	return errors.Join(err, parked(c.ctx, c.node, n))
}

// post stores messages for some of the sessions, in the order of their numbers.
func (c *fullStore) post(p *publisher, messages int, whose func(i int) bool) error {
	for range messages {
		for i, s := range c.sessions {
			if !whose(i) {
				continue
			}
			c.mail[i]++
			if err := p.push(c.ctx, s.sid, queued+strconv.FormatUint(c.mail[i], 10)); err != nil {
				return err
			}
		}
	}
	return p.wait()
}

const (
	// fillBatch is after how many messages fill asks whether it is done.
	fillBatch = 500
	// roomStops is how full the stream may become: how fast room is made beside all else that
	// a machine does is not what is asked.
	roomStops = 0.95
)

// waitForRoom waits where the stream is nearly full.
func (c *fullStore) waitForRoom() error {
	begun := time.Now()
	err := c.look(func(info *jetstream.StreamInfo) bool {
		return float64(info.State.Bytes) < roomStops*float64(info.Config.MaxBytes)
	})
	if waited := time.Since(begun); waited > lookPause {
		c.waited += waited
	}
	return err
}

// fill stores messages for others until done, which is asked from time to time.
func (c *fullStore) fill(done func() (bool, error)) error {
	var acks []jetstream.PubAckFuture
	for {
		if err := c.waitForRoom(); err != nil {
			return err
		}
		for range fillBatch {
			// With an id, as all senders give their messages one.
			m := &nats.Msg{Subject: c.subjects[c.stored%len(c.subjects)], Data: c.payload, Header: nats.Header{
				jetstream.MsgIDHeader: []string{"room" + strconv.Itoa(c.stored)},
			}}
			ack, err := c.js.PublishMsgAsync(m)
			if err != nil {
				return err
			}
			acks = append(acks, ack)
			c.stored++
		}
		if err := c.settleAcks(acks); err != nil {
			return err
		}
		acks = acks[:0]
		if ended, err := done(); ended || err != nil {
			return err
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
	}
}

// settleAcks waits for what was stored.
func (c *fullStore) settleAcks(acks []jetstream.PubAckFuture) error {
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
	return nil
}

// full reports whether the stream of mailboxes is so full.
func (c *fullStore) full(share float64) func() (bool, error) {
	return func() (bool, error) {
		st, err := c.js.Stream(c.ctx, scheme.OutStream(0))
		if err != nil {
			return false, err
		}
		info := st.CachedInfo()
		return float64(info.State.Bytes) >= share*float64(info.Config.MaxBytes), nil
	}
}

var errNoRound = errors.New("no room was made")

// roomPatience is for how long room may be waited for.
const roomPatience = 5 * time.Minute

// lookPause is how often look asks.
const lookPause = 100 * time.Millisecond

// look asks every so often for the stream, which costs the servers a little, until done.
func (c *fullStore) look(done func(info *jetstream.StreamInfo) bool) error {
	ctx, cancel := context.WithTimeout(c.ctx, roomPatience)
	defer cancel()
	for {
		st, err := c.js.Stream(ctx, scheme.OutStream(0))
		if err != nil || done(st.CachedInfo()) {
			return err
		}
		if err := pause(ctx, lookPause, nil); err != nil {
			return errors.Join(errNoRound, err)
		}
	}
}

// comeBackAll resumes sessions, on the same node, and asks whether what they were sent has
// come, once and in order.
func (c *fullStore) comeBackAll(name string, p *publisher, whose func(i int) bool) (*row, error) {
	groups := make(map[uint64][]*comeback)
	for i, s := range c.sessions {
		if whose(i) {
			groups[c.mail[i]] = append(groups[c.mail[i]], s)
			c.mail[i]++ // the one that ends it
		}
	}
	var last *row
	for messages, list := range groups {
		row := fmt.Sprintf("%s: resume with %d", name, messages)
		if err := c.comeBack(c.ctx, c.node, p, queue{len(list), int(messages)}, list, row); err != nil {
			return nil, err
		}
		rows := c.report.rows[row]
		last = rows[len(rows)-1]
	}
	return last, nil
}

// happened is how often each thing has happened to what waits.
type happened map[string]float64

// happenings reads it from a node.
func happenings(node *harness.Node) (happened, error) {
	h := make(happened)
	for name, of := range map[string]string{
		"rounds":        `hydrant_rounds_total{end="purged"}`,
		"rounds full":   `hydrant_rounds_total{end="full"}`,
		"rounds failed": `hydrant_rounds_total{end="failed"}`,
		"looked at":     `hydrant_set_aside_total{what="looked_at"}`,
		"sealed":        `hydrant_set_aside_total{what="sealed"}`,
		"refused":       `hydrant_set_aside_total{what="refused"}`,
		"copied":        `hydrant_set_aside_total{what="copied"}`,
		"copies read":   `hydrant_set_aside_total{what="read"}`,
		"lost":          `hydrant_set_aside_total{what="lost"}`,
		"purged":        `hydrant_set_aside_total{what="purged"}`,
		"gaps told":     `hydrant_gaps_total{why="overflow"}`,
	} {
		n, err := metric(node, of)
		if err != nil {
			return nil, err
		}
		h[name] = n
	}
	return h, nil
}

// happenedOrder is how it is printed.
var happenedOrder = []string{"rounds", "rounds full", "rounds failed", "looked at", "sealed", "refused", "copied", "copies read", "lost", "gaps told", "purged"}

var errNever = errors.New("it never happened, so nothing was shown")

// tell prints how often each thing has happened, and fails where one never has that has to,
// or more was written down as lost.
func (c *fullStore) tell(name string, losses float64, must ...string) error {
	now, err := happenings(c.node)
	if err != nil {
		return err
	}
	text := name + ":"
	for _, what := range happenedOrder {
		text += fmt.Sprintf(" %.0f %s,", now[what]-c.before[what], what)
	}
	fmt.Fprintf(os.Stderr, "%s %d messages of others, which waited %v for room\n", text, c.stored, c.waited.Round(time.Millisecond))
	var errs []error
	for _, what := range must {
		if now[what] <= c.before[what] {
			errs = append(errs, fmt.Errorf("%s: %s: %w", name, what, errNever))
		}
	}
	if lost := now["lost"] - c.before["lost"]; lost > losses {
		errs = append(errs, fmt.Errorf("%s: %w: %.0f written down as lost", name, errPromise, lost))
	}
	return errors.Join(errs...)
}

// roomCost: what making room takes beside storing what it is made for, in the same run.
func roomCost(ctx context.Context, b *bench) error {
	c, err := b.fullStore(ctx, int64(b.room.sessions)*100*roomMessage*2)
	if err != nil {
		return err
	}
	if err := c.park(b.room.sessions); err != nil {
		return err
	}
	p, err := c.publisher()
	if err != nil {
		return err
	}
	some := func(i int) bool { return i%mailEach == 0 }
	for range b.room.rounds {
		if err := c.post(p, 1, some); err != nil {
			return err
		}
		if err := c.costOfRound(); err != nil {
			return err
		}
	}
	if err := c.post(p, 1, some); err != nil {
		return err
	}
	_, err = c.comeBackAll("after rounds", p, func(i int) bool { return i%(mailEach/2) == 0 })
	return errors.Join(err, c.tell("cost of room", 0, "rounds", "sealed", "refused", "copied", "copies read"))
}

// roomMessage is about what a message takes in the stream.
const roomMessage = 310

// costOfRound stores messages until a round is near, waits as long again as it may take,
// and measures that one. What is stored to set it off, and what the servers take anyway, is
// left out.
func (c *fullStore) costOfRound() error {
	begun := c.stored
	m, err := c.meter(c.node)
	if err != nil {
		return err
	}
	if err := c.fill(c.full(roomBefore)); err != nil {
		return err
	}
	storing := &row{name: "store for others", count: c.stored - begun}
	if storing.usage, err = m.stop(1); err != nil {
		return err
	}
	if m, err = c.meter(c.node); err != nil {
		return err
	}
	until, first := time.Now().Add(c.rest), uint64(0)
	if err := c.look(func(info *jetstream.StreamInfo) bool {
		first = info.State.FirstSeq
		return time.Now().After(until)
	}); err != nil {
		return err
	}
	idle, err := m.stop(1)
	if err != nil {
		return err
	}
	begun = c.stored
	if m, err = c.meter(c.node); err != nil {
		return err
	}
	if err := c.fill(c.full(roomFrom)); err != nil {
		return err
	}
	if err := c.look(func(info *jetstream.StreamInfo) bool { return info.State.FirstSeq > first }); err != nil {
		return err
	}
	round := &row{name: "make room, each session", count: len(c.sessions)}
	if round.usage, err = m.stop(1); err != nil {
		return err
	}
	more := float64(c.stored-begun) / float64(storing.count)
	rest := round.elapsed.Seconds() / idle.elapsed.Seconds()
	round.nodes[0] -= time.Duration(more*float64(storing.nodes[0]) + rest*float64(idle.nodes[0]))
	round.nats -= time.Duration(more*float64(storing.nats) + rest*float64(idle.nats))
	round.clients = 0
	c.report.note(storing)
	c.report.note(round)
	whole := 1 + more // all that was stored since the last round
	made := round.nats + round.nodes[0]
	c.report.ratio("making room, in hundredths of what storing takes: of NATS and node to NATS", 100*float64(made)/(whole*float64(storing.nats)), 3)
	c.report.ratio("making room, in hundredths of what storing takes: of NATS and node to NATS and sender", 100*float64(made)/(whole*float64(storing.nats+storing.clients)), 3)
	c.report.ratio("messages for each session and round", whole*float64(storing.count)/float64(len(c.sessions)), 0)
	return nil
}
