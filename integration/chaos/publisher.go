package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus"
	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
	"hydrant/umf"
)

// What clients send questions to: a service of the kit, and one that knows
// nothing but NATS.
const (
	serviceName = "chaos-svcs"
	plainName   = "chaos-plain"
)

// publisherCount is how many publishers there are: a third of them use the kit
// and wait for each message, a third the kit without waiting, and a third
// nothing but NATS.
const publisherCount = 6

// publishPatience is how long a publisher waits for the store. Longer than a
// change of leader takes.
const publishPatience = 8 * time.Second

// body is what every message carries.
type body struct {
	For string `json:"for"`
	Pad string `json:"pad,omitempty"`
}

// padding makes some messages large, so that slow clients fall behind.
var padding = strings.Repeat("x", 4000)

// newBody makes a body for a session; one in eight is large.
func newBody(random *rand.Rand, sid string) body {
	b := body{For: sid}
	if random.IntN(8) == 0 {
		b.Pad = padding[:random.IntN(len(padding))]
	}
	return b
}

// someone chooses a client to send to: every second message goes to one of the
// first few, whose queues grow when they are away.
func (r *run) someone(random *rand.Rand) *client {
	n := len(r.clients)
	if random.IntN(2) == 0 {
		n = min(n, favourites)
	}
	return r.clients[random.IntN(n)]
}

const favourites = 12

// startService answers the clients' questions into their mailboxes, and does work.
func (r *run) startService() error {
	var err error
	if r.service, err = bus.NewService(r.nc, bus.ServiceConfig{Name: serviceName, Version: "1.0.0"}); err != nil {
		return err
	}
	if err := errors.Join(r.service.HandleAny(r.answer), r.service.HandleWork(r.work, bus.WorkOptions{})); err != nil {
		return err
	}
	if err := r.registerQueue(); err != nil {
		return err
	}
	if _, err := r.nc.QueueSubscribe("umf.v1.svc."+plainName, plainName, r.respond); err != nil {
		return err
	}
	return r.service.Start()
}

// registerQueue does what an installer does: nodes of former versions do not, and have
// the stream take work for any name.
func (r *run) registerQueue() error {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	return harness.Until(ctx, func() error {
		_, err := r.js.CreateOrUpdateConsumer(ctx, workStream, jetstream.ConsumerConfig{
			Durable: serviceName, FilterSubject: "umf.v1.work." + serviceName, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxAckPending: 10_000,
		})
		if err != nil {
			return err
		}
		st, err := r.js.Stream(ctx, workStream)
		if err != nil {
			return err
		}
		cfg := st.CachedInfo().Config
		if slices.Contains(cfg.Subjects, "umf.v1.work.*") || slices.Contains(cfg.Subjects, "umf.v1.work."+serviceName) {
			return nil
		}
		cfg.Subjects = []string{"umf.v1.work." + serviceName}
		_, err = r.js.UpdateStream(ctx, cfg)
		return err
	})
}

// respond answers as a service does that knows nothing but NATS. What the
// store has taken is seen at the end.
func (r *run) respond(m *nats.Msg) {
	sid := m.Header.Get("Umf-Session")
	mid := r.newMid(history.ByRespond)
	text, err := json.Marshal(harness.Object{"to": sid + "@client:/", "frm": plainName + ":/", "mid": mid, "bdy": body{For: sid}})
	r.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: sid, Source: history.ByRespond})
	if err == nil {
		err = m.Respond(text)
	}
	if err != nil {
		r.h.Add(history.Event{Kind: history.Failed, Mid: mid, Why: err.Error()})
	}
}

func (r *run) answer(ctx context.Context, q *bus.Request) error {
	reply, err := q.NewReply(body{For: q.Session})
	if err != nil {
		return err
	}
	reply.Mid = r.newMid(history.ByService)
	r.seen.answer(reply.Mid, reply.Rmid)
	r.h.Add(history.Event{Kind: history.Send, Mid: reply.Mid, SID: q.Session, Source: history.ByService, Rmid: reply.Rmid})
	ctx, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	r.told(reply.Mid, q.Session, 0, q.ReplyMessage(ctx, reply))
	return nil
}

// attempt writes down what a sender tries, and what it is told.
func (r *run) attempt(mid, sid, source string, send func() (seq uint64, err error)) {
	r.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: sid, Source: source})
	seq, err := send()
	r.told(mid, sid, seq, err)
}

// told writes down what a sender was told of a message.
func (r *run) told(mid, sid string, seq uint64, err error) {
	if err != nil {
		r.h.Add(history.Event{Kind: history.Failed, Mid: mid, Why: err.Error(), Told: toldBy(err)})
		return
	}
	r.h.Add(history.Event{Kind: history.Stored, Mid: mid, SID: sid, Seq: seq})
}

// toldBy is what the kit's error says of a message; "" where it is another's.
func toldBy(err error) string {
	switch {
	case errors.Is(err, bus.ErrUnconfirmed):
		return history.ToldTimeout
	case errors.Is(err, bus.ErrRefused):
		return "refused"
	case errors.Is(err, bus.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, bus.ErrOverload):
		return "overload"
	}
	return ""
}

// publish sends to sessions at random until ctx ends.
func (r *run) publish(ctx context.Context, i int) {
	random := r.random("publisher-" + string(rune('0'+i)))
	pace := time.NewTicker(time.Second * publisherCount / time.Duration(r.cfg.Rate))
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		sid := r.someone(random).session()
		if sid == "" { // not yet
			continue
		}
		switch i % 3 {
		case 0:
			r.push(sid, newBody(random, sid))
		case 1:
			r.batch(ctx, sid, newBody(random, sid))
		default:
			r.store(sid, r.newMid(history.ByNATS), newBody(random, sid))
		}
	}
}

// push stores a message with the kit.
func (r *run) push(sid string, b body) {
	mid := r.newMid(history.ByPush)
	r.attempt(mid, sid, history.ByPush, func() (uint64, error) {
		m, err := r.message(sid, mid, b)
		if err != nil {
			return 0, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), publishPatience)
		defer cancel()
		return 0, r.service.Push(ctx, sid, m)
	})
}

func (r *run) message(sid, mid string, b body) (*umf.Message, error) {
	m, err := r.service.NewMessage(sid+"@client:/", b)
	if err == nil {
		m.Mid = mid
	}
	return m, err
}

// batch stores a message with the kit and does not wait.
func (r *run) batch(ctx context.Context, sid string, b body) {
	mid := r.newMid(history.ByBatch)
	r.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: sid, Source: history.ByBatch})
	m, err := r.message(sid, mid, b)
	if err == nil {
		r.batches.Add(1)
		err = r.service.PushAsync(ctx, sid, m, func(err error) {
			r.told(mid, sid, 0, err)
			r.batches.Done()
		})
		if err != nil {
			r.batches.Done()
		}
	}
	if err != nil {
		r.told(mid, sid, 0, err)
	}
}

// store stores a message as a bare NATS client does. It returns whether it was
// acknowledged.
func (r *run) store(sid, mid string, b body) (stored bool) {
	r.attempt(mid, sid, history.ByNATS, func() (uint64, error) {
		text, err := json.Marshal(harness.Object{"to": sid + "@client:/", "frm": "bare@chaos:/", "mid": mid, "bdy": b})
		if err != nil {
			return 0, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), publishPatience)
		defer cancel()
		ack, err := r.js.Publish(ctx, "umf.v1.out."+sid[:1]+"."+sid, text)
		if err != nil {
			return 0, err
		}
		stored = true
		return ack.Sequence, nil
	})
	return stored
}
