package shard

import (
	"container/list"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// Bounds of [METHOD] requests that wait for an answer.
const (
	maxRequests          = 1 << 15 // of one loop
	maxRequestsPerClient = 128
)

// request is a [METHOD] request of a client, or one of the edge for a client,
// that waits for its answer.
type request struct {
	client *Client
	id     uint64
	reply  string // where the answer goes
	asked  time.Time
	span   trace.Span             // nil: not traced
	done   func(answer *nats.Msg) // nil answer: timeout; also when the client is gone
}

// requestTable holds the requests of one loop. All wait equally long, so the
// oldest is always the next to time out.
type requestTable struct {
	last  uint64
	byID  map[uint64]*list.Element
	queue *list.List // of *request, oldest first
	armed bool
}

func newRequestTable() requestTable {
	return requestTable{byID: make(map[uint64]*list.Element), queue: list.New()}
}

// ask publishes a request and calls done once on the loop: with the answer, or
// with nil after EDGE_REQUEST_TIMEOUT. The span, if there is one, ends with the
// request.
func (s *Shard) ask(c *Client, subject string, header nats.Header, data []byte, span trace.Span, done func(*nats.Msg)) bool {
	t := &s.requests
	if len(t.byID) >= maxRequests || c.outstanding >= maxRequestsPerClient {
		s.node.Metrics.Requests.Inc(stats.RequestRefused)
		tracectx.End(span, errBusy)
		return false
	}
	t.last++
	reply := scheme.RequestSubject(s.node.ID, s.index, t.last)
	r := &request{client: c, id: t.last, reply: reply, asked: s.loop.Now(), span: span, done: done}
	t.byID[r.id] = t.queue.PushBack(r)
	c.outstanding++
	s.out.Push(egress.Op{Kind: stats.OpPublish, Subject: subject, Reply: reply, Header: header, Data: data, At: s.uptime(), Done: func(uint64, error) {
		s.post(func() { s.finish(r.id, nil, stats.RequestFailed) })
	}})
	s.armRequests()
	return true
}

func (s *Shard) armRequests() {
	t := &s.requests
	if t.armed || t.queue.Len() == 0 {
		return
	}
	t.armed = true
	left := func() time.Duration {
		return s.node.Config.RequestTimeout - s.loop.Now().Sub(t.queue.Front().Value.(*request).asked)
	}
	s.loop.AfterFunc(max(left(), time.Millisecond), func() {
		t.armed = false
		for t.queue.Len() > 0 && left() <= 0 {
			s.finish(t.queue.Front().Value.(*request).id, nil, stats.RequestTimeout)
		}
		s.armRequests()
	})
}

// finish ends a request, unless it has ended before.
func (s *Shard) finish(id uint64, answer *nats.Msg, result stats.Request) {
	place := s.requests.byID[id]
	if place == nil {
		return
	}
	delete(s.requests.byID, id)
	r := s.requests.queue.Remove(place).(*request)
	r.client.outstanding--
	s.node.Metrics.Requests.Inc(result)
	s.node.Metrics.RequestTime.Observe(s.loop.Now().Sub(r.asked).Seconds())
	r.done(answer)
	if r.span != nil {
		r.span.SetAttributes(attribute.String("hydrant.result", result.String()))
		r.span.End()
	}
}

// Answer takes the answer to the request of that number, from who was asked: others
// do not know the subject.
func (s *Shard) Answer(id uint64, msg *nats.Msg) {
	if place := s.requests.byID[id]; place != nil && place.Value.(*request).reply == msg.Subject {
		s.finish(id, msg, stats.RequestAnswered)
	}
}

// NoResponders reports whether NATS says that nobody listens (503).
func NoResponders(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Header.Get("Status") == "503"
}

// request sends a [METHOD] request of a client to a service: the answer goes
// back with to and from exchanged. If the connection has ended meanwhile, the
// answer is for the session that asked, wherever it is by then.
func (c *Client) request(e *umf.Envelope, mid, asked []byte, subject, service string, data []byte) {
	s, sid := c.s, c.has.sid
	rmid := append([]byte(nil), mid...)
	to := append([]byte(nil), e.Raw(umf.From)...)
	from := append([]byte(nil), asked...) // not the router's address, which only the router's own messages are from
	header, span := s.node.Tracing.frame(stats.InRequest, service, sid, e, c.has.serviceHeader())
	ok := s.ask(c, subject, header, data, span, func(answer *nats.Msg) {
		msg := protocol.Message{ToRaw: to, From: from, RMid: rmid}
		parent := ""
		if answer == nil || NoResponders(answer) {
			s.node.Traffic.Add(service, stats.WayError, s.loop.Now(), 1)
		}
		switch {
		case answer == nil:
			c.unanswered(&msg, protocol.CodeTimeout, "No answer in time")
		case NoResponders(answer):
			c.unanswered(&msg, protocol.CodeNoInstances, service)
		default:
			c.takeAnswer(&msg, answer)
			parent = s.node.Tracing.of(answer.Header)
		}
		if c.closing {
			s.storeAnswer(sid, msg)
			return
		}
		s.buf = s.encode(s.buf[:0], &msg)
		c.sendTraced(stats.OutAnswer, parent, s.buf)
	})
	if !ok {
		c.fail(mid, protocol.CodeOverload, "Too many requests wait for an answer")
	}
}

// unanswered writes into the answer to a request that there is none. Clients of
// the first edition know the service that does not run from a reason, and no error
// as the answer to a request.
func (c *Client) unanswered(msg *protocol.Message, code protocol.Code, text string) {
	c.s.node.Metrics.Errors.Inc(code)
	if c.second {
		msg.Type = protocol.TypeError
	}
	switch {
	case code != protocol.CodeNoInstances:
		msg.Body = protocol.AppendError(nil, code, text)
	case c.second:
		msg.Body = protocol.AppendError(nil, code, "Unavailable "+text+" instances")
	default:
		msg.Body = protocol.AppendNoInstances(nil, text)
	}
}

// takeAnswer writes what a service said into the answer to a request.
func (c *Client) takeAnswer(msg *protocol.Message, answer *nats.Msg) {
	refusal, refused := protocol.ReadRefusal(answer.Header)
	switch {
	case !refused:
		msg.Body = protocol.ClientBody(&c.s.inner, answer.Header, answer.Data)
		return
	case c.second:
		msg.Type, msg.Body = protocol.TypeError, refusal.AppendError(nil)
	default:
		msg.Body = refusal.AppendReason(nil)
	}
	c.s.node.Metrics.Errors.Inc(protocol.CodeService)
}

// storeAnswer puts the answer to a request into the mailbox of the session.
func (s *Shard) storeAnswer(sid scheme.SID, msg protocol.Message) {
	done := func(_ uint64, err error) {
		if err != nil {
			s.node.Metrics.Dropped.Inc(stats.DropLateAnswer)
			s.node.Log.Warn("the answer to a request is lost: its client was gone, and it was not stored", "sid", sid, "error", err)
		}
	}
	data := s.encode(nil, &msg)
	if !s.out.Room(len(data)) {
		done(0, store.ErrOverload)
		return
	}
	// The message id is the question's, and lets the store be asked again.
	s.out.Push(egress.Op{Kind: stats.OpStore, SID: sid, Data: data, Mid: string(msg.RMid), From: "answer", At: s.uptime(), Done: done})
}

// Undelivered tells a session that nobody listened to its message.
func (s *Shard) Undelivered(sid scheme.SID, mid, service string) {
	s.proved(asked{sid, mid})
	if h := s.held[sid]; h != nil && h.client != nil {
		s.node.Traffic.Add(service, stats.WayError, s.loop.Now(), 1)
		h.client.fail([]byte(mid), protocol.CodeNoInstances, "No "+service+" instances available")
	}
}
