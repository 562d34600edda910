package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// queued stands before the numbers in the mids of what waits.
const queued = "b"

// resume: sessions that are away get messages and come back on another node.
func resume(ctx context.Context, b *bench) error { return b.resumed(ctx, false) }

// killed: as resume, but their node has died, with all that it had kept for them.
func killed(ctx context.Context, b *bench) error { return b.resumed(ctx, true) }

func (b *bench) resumed(ctx context.Context, kill bool) error {
	home, err := b.node(ctx, "b")
	if err != nil {
		return err
	}
	p, err := b.publisher()
	if err != nil {
		return err
	}
	// A node that has run for a while, and has clients on each loop: it knows that no
	// position is older than its connection, and need not ask.
	others, err := b.fleet(home.Addr, 4*b.parallel, dialSecond)
	defer resetAll(others)
	if err != nil {
		return err
	}
	if err := pause(ctx, b.settled, nil); err != nil {
		return err
	}
	before, name := 0, "resume "
	for i, q := range b.resumes {
		where := "a"
		if kill {
			where, before, name = "a"+strconv.Itoa(i), 0, "killed, resume "
		}
		away, err := b.node(ctx, where)
		if err != nil {
			return err
		}
		before += q.sessions
		returns, err := b.leave(ctx, away, p, q, before)
		if err != nil {
			return err
		}
		if kill {
			away.Kill()
			delete(b.nodes, where)
		} else if err := b.readBare(ctx, q, returns); err != nil {
			return err
		}
		if err := b.comeBack(ctx, home, p, q, returns, name+q.String()); err != nil {
			return err
		}
	}
	return nil
}

// leave makes sessions, parks them, and stores messages for each. total is how
// many sessions the node has parked by then.
func (b *bench) leave(ctx context.Context, away *harness.Node, p *publisher, q queue, total int) ([]*comeback, error) {
	sockets, err := b.fleet(away.Addr, q.sessions, dialSecond)
	returns := make([]*comeback, len(sockets))
	for i, s := range sockets {
		if s != nil {
			returns[i] = &comeback{sid: s.id, token: s.token}
			s.hangUp()
		}
	}
	if err != nil {
		return nil, err
	}
	if err := parked(ctx, away, total); err != nil {
		return nil, err
	}
	for n := range q.messages {
		for _, c := range returns {
			if err := p.push(ctx, c.sid, queued+strconv.Itoa(n+1)); err != nil {
				return nil, err
			}
		}
	}
	return returns, p.wait()
}

// readBare reads the queues with NATS' own library and nothing else: a durable
// consumer for each, as many at a time as clients come back. It is what a resume
// cannot take less than while a queue is a consumer.
func (b *bench) readBare(ctx context.Context, q queue, returns []*comeback) error {
	nc, err := b.connect("bench-reader")
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	subjects, streams := make([]string, q.sessions), make([]string, q.sessions)
	for i, c := range returns {
		subjects[i] = scheme.MailboxSubject(scheme.SID(c.sid))
		if streams[i], err = js.StreamNameBySubject(ctx, subjects[i]); err != nil {
			return err
		}
	}
	m, err := b.meter()
	if err != nil {
		return err
	}
	r := &row{name: "floor: read " + q.String(), count: q.sessions}
	err = inParallel(q.sessions, b.parallel, func(i int) error {
		return readQueue(ctx, js, streams[i], subjects[i], q.messages)
	})
	if err != nil {
		return err
	}
	r.usage, err = m.stop(0)
	return b.note(r, err)
}

var errQueue = errors.New("the queue is not what was stored")

func readQueue(ctx context.Context, js jetstream.JetStream, stream, subject string, messages int) error {
	const marker = 1 // every mailbox begins with one, or with more where its answer was late
	name := "bench" + subject[strings.LastIndexByte(subject, '.')+1:]
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: name, FilterSubject: subject, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return err
	}
	batch, err := consumer.FetchNoWait(2 * (messages + marker))
	if err != nil {
		return err
	}
	n := 0
	for range batch.Messages() {
		n++
	}
	if err := batch.Error(); err != nil {
		return err
	}
	if n < messages+marker {
		return fmt.Errorf("%w: %d messages", errQueue, n)
	}
	return js.DeleteConsumer(ctx, stream, name)
}

// comeBack resumes the sessions. What is repeated shows until one more message
// for each has arrived, which is pushed when the measurement is over.
func (b *bench) comeBack(ctx context.Context, home *harness.Node, p *publisher, q queue, returns []*comeback, name string) error {
	r := &row{name: name, count: q.sessions}
	last := uint64(q.messages + 1)
	var readers sync.WaitGroup
	from, err := came(home)
	if err != nil {
		return err
	}
	err = b.returning(home, r, func(i int) {
		c := returns[i]
		complete := make(chan struct{})
		readers.Go(func() { c.err = c.run(home.Addr, uint64(q.messages), last, complete) })
		<-complete
	})
	if err == nil {
		r.sources, err = from.since(home)
	}
	for _, c := range returns {
		err = errors.Join(err, p.push(ctx, c.sid, queued+strconv.FormatUint(last, 10)))
	}
	err = errors.Join(err, p.wait())
	readers.Wait()
	for _, c := range returns {
		r.lost += int(last - c.ledger.received)
		r.repeated += c.ledger.repeated
		r.disordered += c.ledger.disordered
		r.delays = append(r.delays, c.took)
		if err == nil {
			err = c.err
		}
		if c.socket != nil {
			c.socket.reset()
		}
	}
	slices.Sort(r.delays)
	return b.note(r, err)
}

// sourceNames say where messages can have come from after a resume.
var sourceNames = []string{"live", "tail", "pass", "store"}

// cameFrom is how many messages came from each.
type cameFrom []float64

// came reads it from a node.
func came(node *harness.Node) (cameFrom, error) {
	var c cameFrom
	for _, name := range sourceNames {
		n, err := metric(node, `hydrant_resume_messages_total{source="`+name+`"}`)
		if err != nil {
			return nil, err
		}
		c = append(c, n)
	}
	return c, nil
}

// since says what share came from where since then.
func (c cameFrom) since(node *harness.Node) (string, error) {
	now, err := came(node)
	if err != nil {
		return "", err
	}
	all, text := 0.0, ""
	for i := range now {
		all += now[i] - c[i]
	}
	for i, name := range sourceNames {
		if n := now[i] - c[i]; n > 0 {
			text += fmt.Sprintf("%.1f %% %s ", 100*n/all, name)
		}
	}
	return text, nil
}

// returning measures clients that return, each with come.
func (b *bench) returning(home *harness.Node, r *row, come func(i int)) error {
	return b.profiled(home, r.name, r.count/500, func() error {
		m, err := b.meter(home)
		if err != nil {
			return err
		}
		err = inParallel(r.count, b.parallel, func(i int) error {
			come(i)
			return nil
		})
		if err != nil {
			return err
		}
		r.usage, err = m.stop(1)
		return err
	})
}

// comeback is one client that returns. Its goroutine owns it until it ends.
type comeback struct {
	sid    string
	token  string
	socket *socket
	ledger ledger
	took   time.Duration
	err    error
}

var errNotResumed = errors.New("the session was not resumed")

// run resumes and reads until message last has come. It closes complete when
// the queue, messages 1 to waiting, has been read, or nothing more will be.
func (c *comeback) run(addr string, waiting, last uint64, complete chan<- struct{}) error {
	begun := time.Now()
	announce := sync.OnceFunc(func() {
		c.took = time.Since(begun)
		close(complete)
	})
	defer announce()
	var err error
	var resumed bool
	if c.socket, resumed, err = enter(addr, "umf.v1", "umf.resume."+c.sid+"."+c.token+".1"); err != nil {
		return fmt.Errorf("connect: %w", err)
	} else if !resumed {
		return errNotResumed
	}
	if waiting == 0 {
		announce()
	}
	if err := c.socket.tcp.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		return err
	}
	for {
		text, err := c.socket.next()
		if err != nil {
			return fmt.Errorf("session %s after %d messages: %w", c.sid, c.ledger.received, err)
		}
		n, ok := number(text, inMid(queued))
		if !ok {
			return errAnswer
		}
		c.ledger.enter(n)
		if c.ledger.received == waiting {
			announce()
			// The last message comes when all sessions have come so far.
			if err := c.socket.tcp.SetReadDeadline(time.Now().Add(5 * harness.Patience)); err != nil {
				return err
			}
		}
		if n == last {
			return nil
		}
	}
}
