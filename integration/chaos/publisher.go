package chaos

import (
	"context"
	"encoding/json"
	"time"

	"hydrant/bus"
	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// serviceName is what clients send questions to.
const serviceName = "chaos-svcs"

// publisherCount is how many publishers there are: half of them use the SDK,
// the others nothing but NATS.
const publisherCount = 4

// publishPatience is how long a publisher waits for the store. Longer than a
// change of leader takes.
const publishPatience = 8 * time.Second

// body is what every message carries.
type body struct {
	For string `json:"for"`
}

// startService answers the clients' questions into their mailboxes.
func (r *run) startService() error {
	var err error
	if r.service, err = bus.NewService(r.nc, bus.ServiceConfig{Name: serviceName, Version: "1.0.0"}); err != nil {
		return err
	}
	if err := r.service.HandleAny(r.answer); err != nil {
		return err
	}
	return r.service.Start()
}

func (r *run) answer(ctx context.Context, q *bus.Request) error {
	reply, err := q.NewReply(body{q.Session})
	if err != nil {
		return err
	}
	reply.Mid = r.newMid(history.ByService)
	r.attempt(reply.Mid, q.Session, history.ByService, func() (uint64, error) {
		ctx, cancel := context.WithTimeout(ctx, publishPatience)
		defer cancel()
		return 0, q.ReplyMessage(ctx, reply)
	})
	return nil
}

// attempt writes down what a sender tries, and what it is told.
func (r *run) attempt(mid, sid, source string, send func() (seq uint64, err error)) {
	r.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: sid, Source: source})
	seq, err := send()
	if err != nil {
		r.h.Add(history.Event{Kind: history.Failed, Mid: mid, Why: err.Error()})
		return
	}
	r.h.Add(history.Event{Kind: history.Stored, Mid: mid, SID: sid, Seq: seq})
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
		sid := r.clients[random.IntN(len(r.clients))].session()
		if i%2 == 0 {
			r.push(sid)
		} else {
			r.store(sid, r.newMid(history.ByNATS))
		}
	}
}

// push stores a message with the SDK.
func (r *run) push(sid string) {
	mid := r.newMid(history.ByPush)
	r.attempt(mid, sid, history.ByPush, func() (uint64, error) {
		m, err := r.service.NewMessage(sid+"@client:/", body{sid})
		if err != nil {
			return 0, err
		}
		m.Mid = mid
		ctx, cancel := context.WithTimeout(context.Background(), publishPatience)
		defer cancel()
		return 0, r.service.Push(ctx, sid, m)
	})
}

// store stores a message as a bare NATS client does. It returns whether it was
// acknowledged.
func (r *run) store(sid, mid string) (stored bool) {
	r.attempt(mid, sid, history.ByNATS, func() (uint64, error) {
		text, err := json.Marshal(harness.Object{"to": sid + "@client:/", "frm": "bare@chaos:/", "mid": mid, "bdy": body{sid}})
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
