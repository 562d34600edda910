package edge

import (
	"container/list"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus"
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
	client *client
	id     uint64
	asked  time.Time
	span   trace.Span             // nil: not traced
	done   func(answer *nats.Msg) // nil answer: timeout; also when the client is gone
}

// requestTable holds the requests of one loop. All wait equally long, so the
// oldest is always the next to time out.
type requestTable struct {
	prefix string
	last   uint64
	byID   map[uint64]*list.Element
	queue  *list.List // of *request, oldest first
	armed  bool
}

func newRequestTable(loop int) requestTable {
	return requestTable{prefix: strconv.Itoa(loop) + "_", byID: make(map[uint64]*list.Element), queue: list.New()}
}

// ask publishes a request and calls done once on the loop: with the answer, or
// with nil after EDGE_REQUEST_TIMEOUT. The span, if there is one, ends with the
// request.
func (w *worker) ask(c *client, subject string, header nats.Header, data []byte, span trace.Span, done func(*nats.Msg)) bool {
	t := &w.requests
	if len(t.byID) >= maxRequests || c.outstanding >= maxRequestsPerClient {
		w.node.m.Requests.Inc(stats.RequestRefused)
		endSpan(span, errBusy)
		return false
	}
	t.last++
	r := &request{client: c, id: t.last, asked: w.loop.Now(), span: span, done: done}
	t.byID[r.id] = t.queue.PushBack(r)
	c.outstanding++
	reply, err := bus.RequestSubject(w.node.id, t.prefix+strconv.FormatUint(r.id, 36))
	if err != nil {
		panic(err) // both parts are this node's own
	}
	w.out.push(op{kind: stats.OpPublish, subject: subject, reply: reply, header: header, data: data, at: w.age(), done: func(uint64, error) {
		w.post(func() { w.finish(r.id, nil, stats.RequestFailed) })
	}})
	w.armRequests()
	return true
}

func (w *worker) armRequests() {
	t := &w.requests
	if t.armed || t.queue.Len() == 0 {
		return
	}
	t.armed = true
	left := func() time.Duration {
		return w.node.cfg.RequestTimeout - w.loop.Now().Sub(t.queue.Front().Value.(*request).asked)
	}
	w.loop.AfterFunc(max(left(), time.Millisecond), func() {
		t.armed = false
		for t.queue.Len() > 0 && left() <= 0 {
			w.finish(t.queue.Front().Value.(*request).id, nil, stats.RequestTimeout)
		}
		w.armRequests()
	})
}

// finish ends a request, unless it has ended before.
func (w *worker) finish(id uint64, answer *nats.Msg, result stats.Request) {
	place := w.requests.byID[id]
	if place == nil {
		return
	}
	delete(w.requests.byID, id)
	r := w.requests.queue.Remove(place).(*request)
	r.client.outstanding--
	w.node.m.Requests.Inc(result)
	w.node.m.RequestTime.Observe(w.loop.Now().Sub(r.asked).Seconds())
	r.done(answer)
	if r.span != nil {
		r.span.SetAttributes(attribute.String("hydrant.result", result.String()))
		r.span.End()
	}
}

// answers dispatches replies to requests; it runs on its own goroutine.
func (n *Node) answers(batch []*nats.Msg) {
	for _, msg := range batch {
		loop, id, ok := parseRequestID(msg.Subject)
		if !ok || loop >= len(n.workers) {
			continue
		}
		w := n.workers[loop]
		w.post(func() { w.finish(id, msg, stats.RequestAnswered) })
	}
}

func parseRequestID(subject string) (loop int, id uint64, ok bool) {
	token := subject[strings.LastIndexByte(subject, '.')+1:]
	first, second, found := strings.Cut(token, "_")
	if !found {
		return 0, 0, false
	}
	loop, err := strconv.Atoi(first)
	if err != nil || loop < 0 {
		return 0, 0, false
	}
	id, err = strconv.ParseUint(second, 36, 64)
	return loop, id, err == nil
}

// noResponders reports whether NATS says that nobody listens (503).
func noResponders(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Header.Get("Status") == "503"
}

// request sends a [METHOD] request of a client to a service: the answer goes
// back with to and from exchanged. If the connection has ended meanwhile, the
// answer is for the session that asked, wherever it is by then.
func (c *client) request(e *umf.Envelope, mid []byte, subject, service string, data []byte) {
	w, sid := c.w, c.a.sid
	rmid := append([]byte(nil), mid...)
	to := append([]byte(nil), e.Raw(umf.From)...)
	from := append([]byte(nil), e.Raw(umf.To)...)
	header, span := w.tracing.frame(stats.InRequest, service, e, c.a.serviceHeader())
	ok := w.ask(c, subject, header, data, span, func(answer *nats.Msg) {
		msg := protocol.Message{ToRaw: to, From: from, RMid: rmid}
		parent := ""
		switch {
		case answer == nil:
			w.node.m.Errors.Inc(protocol.CodeTimeout)
			msg.Body = protocol.AppendError(nil, protocol.CodeTimeout, "No answer in time")
		case noResponders(answer):
			w.node.m.Errors.Inc(protocol.CodeNoInstances)
			msg.Body = protocol.AppendNoInstances(nil, service)
		default:
			msg.Body = protocol.AnswerBody(&w.inner, answer.Data)
			parent = w.tracing.traceOf(answer.Header)
		}
		if c.closing {
			w.storeAnswer(sid, msg)
			return
		}
		w.buf = w.encode(w.buf[:0], msg)
		c.sendTraced(stats.OutAnswer, parent, w.buf)
	})
	if !ok {
		c.fail(mid, protocol.CodeOverload, "Too many requests wait for an answer")
	}
}

// storeAnswer puts the answer to a request into the mailbox of the session.
func (w *worker) storeAnswer(sid string, msg protocol.Message) {
	done := func(_ uint64, err error) {
		if err != nil {
			w.node.m.Dropped.Inc(stats.DropLateAnswer)
			w.node.log.Warn("the answer to a request is lost: its client was gone, and it was not stored", "sid", sid, "error", err)
		}
	}
	data := w.encode(nil, msg)
	if !w.out.room(len(data)) {
		done(0, bus.ErrOverload)
		return
	}
	// The message id is the question's, and lets the store be asked again.
	w.out.push(op{kind: stats.OpStore, sid: sid, data: data, mid: string(msg.RMid), from: "answer", at: w.age(), done: done})
}

// undeliverable handles what arrives on this node's reply subjects: of all of
// it only "no responders" is of interest, since the stream takes the answers.
func (n *Node) undeliverable(batch []*nats.Msg) {
	for _, msg := range batch {
		if !noResponders(msg) {
			continue
		}
		_, sid, mid, err := bus.ParseReply(msg.Subject)
		if err != nil {
			continue
		}
		service := serviceOf(msg.Header.Get("Nats-Subject"))
		for _, w := range n.workers {
			w.post(func() {
				if a := w.attachments[sid]; a != nil && a.client != nil {
					a.client.fail([]byte(mid), protocol.CodeNoInstances, "No "+service+" instances available")
				}
			})
		}
	}
}

// serviceOf names the service that a subject is for.
func serviceOf(subject string) string {
	if service, err := bus.ParseService(subject); err == nil {
		return service
	}
	if service, _, err := bus.ParseInstance(subject); err == nil {
		return service
	}
	return "service"
}
