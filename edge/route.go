package edge

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// route decides over one message of a client, as the documentation of package
// protocol has it. p is borrowed from the connection layer.
func (c *client) route(p []byte) {
	w := c.w
	n := w.node
	e := &w.envelope
	w.size = len(p)
	err := umf.Scan(p, e)
	if err == nil {
		err = e.Check()
	}
	if err != nil {
		c.took(stats.InInvalid)
		c.refuse(nil, protocol.CodeInvalid, fmt.Sprintf("HR: Invalid UMF message: %s closing connection", protocol.Quote(p)))
		return
	}
	if !c.checkSignature(e) {
		return
	}
	if len(e.Raw(umf.Mid)) > bus.MaxMid || len(e.Raw(umf.From)) > umf.MaxAddress {
		c.took(stats.InInvalid)
		c.fail(e.Raw(umf.Mid), protocol.CodeInvalid, "mid or from is too long") // they are kept until there is an answer
		return
	}
	var buf [128]byte
	text, _ := e.Text(umf.To, buf[:0])
	to, err := umf.ParseAddress(text)
	if err != nil {
		c.took(stats.InBadAddress)
		c.fail(e.Raw(umf.Mid), protocol.CodeAddress, "Invalid to address")
		return
	}
	switch to.Service {
	case n.cfg.ServiceName:
		c.routeRouter(e, to)
	case "client":
		c.a.used = true
		c.deliver(e, e.Raw(umf.To), to.Instance, false)
	default:
		c.a.used = true
		c.routeService(e, nil, to)
	}
}

// took counts the message that is being handled.
func (c *client) took(kind stats.Received) { c.w.tally.In[kind].Add(c.w.size) }

// checkSignature checks what came in, before anything is changed.
func (c *client) checkSignature(e *umf.Envelope) bool {
	n := c.w.node
	if n.signatures == nil {
		return true
	}
	err := n.signatures.Check(e, c.w.loop.Now())
	if err == nil {
		return true
	}
	c.took(stats.InBadSignature)
	text, code, closes := signatureProblem(err)
	c.fail(e.Raw(umf.Mid), code, text)
	if closes {
		c.close(protocol.ClosePolicy, code.String())
	}
	return false
}

// routeRouter handles messages for the edge itself.
func (c *client) routeRouter(e *umf.Envelope, to umf.Address) {
	n := c.w.node
	if _, sid, ok := to.Via(); ok {
		c.a.used = true
		c.deliver(e, e.Raw(umf.To), sid, false)
		return
	}
	if to.Method != "" {
		c.took(stats.InAPI)
		c.routerAPI(e, to)
		return
	}
	var buf [64]byte
	typ, _ := e.Text(umf.Type, buf[:0])
	switch string(typ) {
	case protocol.TypeAck:
		c.took(stats.InAck)
		c.acknowledge(e)
	case protocol.TypePing:
		c.took(stats.InPing)
		c.pong(e)
	case protocol.TypeLog:
		c.took(stats.InLog)
		n.clientLog.Add(c.a.sid, c.addr(), e.Raw(umf.Body))
	case protocol.TypeLocate:
		c.took(stats.InWsdir)
		c.locate(e)
	case protocol.TypeReconnect, protocol.TypeReconnection:
		c.took(stats.InResume)
		c.resume(e)
	default:
		if e.Falsy(umf.Forward) {
			c.took(stats.InUnrecognized)
			c.refuse(e.Raw(umf.Mid), protocol.CodeUnrecognized, "Unrecognized Hydra Router request")
			return
		}
		c.forward(e, to)
	}
}

// forward handles messages to the router that name another receiver.
func (c *client) forward(e *umf.Envelope, to umf.Address) {
	n := c.w.node
	c.a.used = true
	var buf [128]byte
	text, _ := e.Text(umf.Forward, buf[:0])
	target, err := umf.ParseAddress(text)
	switch {
	case err != nil:
		c.refuse(e.Raw(umf.Mid), protocol.CodeAddress, "Invalid forward address")
	case target.Service == "client":
		c.deliver(e, e.Raw(umf.Forward), target.Instance, true)
	case target.Service == n.cfg.ServiceName:
		c.fail(e.Raw(umf.Mid), protocol.CodeAddress, "Invalid forward address")
	case to.Path == "/queue":
		c.enqueue(e, target)
	default:
		c.routeService(e, e.Raw(umf.Forward), target)
	}
}

// routeService sends a message to a service: at most once, over core NATS. to
// replaces the address when the message was forwarded.
func (c *client) routeService(e *umf.Envelope, to []byte, address umf.Address) {
	w := c.w
	n := w.node
	subject, err := serviceSubject(address)
	if err != nil {
		c.took(stats.InBadAddress)
		c.fail(e.Raw(umf.Mid), protocol.CodeAddress, "Invalid to address")
		return
	}
	f := protocol.Complete(e, w.loop.Now())
	w.text = c.a.appendVia(w.text[:0])
	f.Set(umf.Via, w.text)
	if to != nil {
		f.Set(umf.To, to)
	}
	data, ok := c.admit(e, &f)
	if !ok {
		return
	}
	if address.Method != "" {
		c.took(stats.InRequest)
		c.request(e, f.Mid, subject, address.Service, data)
		return
	}
	c.took(stats.InService)
	reply, err := bus.ReplySubject(n.id, c.a.sid, string(f.Mid))
	if err != nil {
		panic(err) // the names are this node's own, and mid was measured
	}
	header, span := w.tracing.frame(stats.InService, address.Service, e, c.a.serviceHeader())
	w.out.push(op{kind: stats.OpPublish, subject: subject, reply: reply, header: header, data: data, span: span, at: w.age(),
		done: w.reportTo(c.a.sid, append([]byte(nil), f.Mid...))})
}

// admit builds the text that goes to NATS, within the bounds of the way there.
func (c *client) admit(e *umf.Envelope, f *protocol.Completion) ([]byte, bool) {
	w := c.w
	n := w.node
	if !n.connected.Load() {
		c.fail(f.Mid, protocol.CodeUnavailable, "Messaging is unavailable")
		return nil, false
	}
	w.buf = e.AppendShort(w.buf[:0], f.Sets()...)
	if int64(len(w.buf)) > n.maxPayload.Load() {
		c.fail(f.Mid, protocol.CodeTooLarge, "Message is too large")
		return nil, false
	}
	if !w.out.room(len(w.buf)) {
		n.m.OutboxFull.Inc()
		c.fail(f.Mid, protocol.CodeOverload, "Messaging is overloaded")
		return nil, false
	}
	if w.out.strained() {
		w.holdBack(c)
	}
	return append(make([]byte, 0, len(w.buf)), w.buf...), true
}

// serviceSubject is where messages for an address of a service go.
func serviceSubject(address umf.Address) (string, error) {
	if address.Instance != "" {
		return bus.InstanceSubject(address.Service, address.Instance)
	}
	return bus.ServiceSubject(address.Service)
}

// reportTo returns a callback for a NATS goroutine that tells a session that
// its message was not taken.
func (w *worker) reportTo(sid string, rmid []byte) func(uint64, error) {
	return func(_ uint64, err error) {
		if err == nil {
			return
		}
		w.post(func() { w.report(sid, rmid, err) })
	}
}

// report tells a session that its message was not taken.
func (w *worker) report(sid string, rmid []byte, err error) {
	if a := w.attachments[sid]; a != nil && a.client != nil {
		a.client.failStore(rmid, err)
	}
}

// enqueue stores work for a service.
func (c *client) enqueue(e *umf.Envelope, target umf.Address) {
	w := c.w
	c.took(stats.InWork)
	f := protocol.Complete(e, w.loop.Now())
	w.text = c.a.appendVia(w.text[:0])
	f.Set(umf.Via, w.text)
	f.Set(umf.To, e.Raw(umf.Forward))
	data, ok := c.admit(e, &f)
	if !ok {
		return
	}
	header, span := w.tracing.frame(stats.InWork, target.Service, e, c.a.serviceHeader())
	w.out.push(op{kind: stats.OpWork, subject: target.Service, data: data, header: header, span: span, at: w.age(),
		mid: string(f.Mid), from: c.a.sid, done: w.reportTo(c.a.sid, append([]byte(nil), f.Mid...))})
}

// deliver stores a message in another session's mailbox. An id that cannot
// exist is refused: Hydra Router dies of some.
func (c *client) deliver(e *umf.Envelope, to []byte, sid string, forwarded bool) {
	w := c.w
	n := w.node
	c.took(stats.InClient)
	if !bus.ValidSID(sid) {
		c.fail(e.Raw(umf.Mid), protocol.CodeUnknownSession, "No such client")
		if forwarded {
			c.close(protocol.ClosePolicy, "invalid forward address")
		}
		return
	}
	f := protocol.Complete(e, w.loop.Now())
	f.Set(umf.To, to)
	f.Set(umf.Via, n.fromRouter)
	data, ok := c.admit(e, &f)
	if !ok {
		return
	}
	d := delivery{from: c.a.sid, to: sid, mid: append([]byte(nil), f.Mid...), data: data, ttl: protocol.TTL(e), at: w.age()}
	d.header, d.span = w.tracing.frame(stats.InClient, "", e, nil)
	if waiting, ok := w.lookups[sid]; ok {
		c.await(sid, waiting, d)
		return
	}
	if w.attachments[sid] != nil {
		w.store(d)
		return
	}
	switch exists, cached := n.dir.Known(sid); {
	case !cached:
		w.lookup(sid, d)
	case exists:
		w.store(d)
	default:
		w.unknown(d)
	}
}

// delivery is a message on its way to a mailbox.
type delivery struct {
	from, to string
	mid      []byte
	data     []byte
	ttl      time.Duration
	at       time.Duration // of the frame: see op
	header   nats.Header   // the trace
	span     trace.Span    // nil: not traced
}

// maxWaiting bounds the messages that wait for one directory look-up.
const maxWaiting = 1024

// await keeps the order of messages to a session that is being looked up.
func (c *client) await(sid string, waiting []delivery, d delivery) {
	if len(waiting) >= maxWaiting {
		c.w.node.m.Dropped.Inc(stats.DropLookUp)
		endSpan(d.span, errBusy)
		c.fail(d.mid, protocol.CodeOverload, "Too many messages wait for a look-up")
		return
	}
	c.w.lookups[sid] = append(waiting, d)
	c.w.out.keep(len(d.data))
}

// store hands a message to the mailbox. The message id lets a client repeat a
// message without doubling it, and only its own.
func (w *worker) store(d delivery) {
	w.out.push(op{kind: stats.OpStore, sid: d.to, data: d.data, ttl: d.ttl, header: d.header, span: d.span, at: d.at,
		mid: string(d.mid), from: d.from, done: w.reportTo(d.from, d.mid)})
}

// lookup asks the directory whether a session exists; what is for it waits.
func (w *worker) lookup(sid string, d delivery) {
	w.lookups[sid] = []delivery{d}
	w.out.keep(len(d.data))
	job := func(ctx context.Context) (bool, error) { return w.node.dir.Lookup(ctx, sid) }
	submit(w, job, func(exists bool, err error) {
		waiting := w.lookups[sid]
		delete(w.lookups, sid)
		for _, d := range waiting {
			w.out.drop(len(d.data))
			switch {
			case exists:
				w.store(d)
			case err != nil:
				w.node.m.NATSErrors.Inc(stats.OpLookUp)
				endSpan(d.span, err)
				w.report(d.from, d.mid, err)
			default:
				w.unknown(d)
			}
		}
	})
}

// unknown tells the sender that there is no such session.
func (w *worker) unknown(d delivery) {
	endSpan(d.span, bus.ErrNoSession)
	if a := w.attachments[d.from]; a != nil && a.client != nil {
		a.client.fail(d.mid, protocol.CodeUnknownSession, "No such client")
	}
}

// appendVia appends the address by which a receiver reaches this session, as JSON.
func (a *attachment) appendVia(dst []byte) []byte {
	n := a.w.node
	return protocol.AppendVia(dst, n.id, a.sid, n.cfg.ServiceName)
}

// serviceHeader says who really sent a message.
func (a *attachment) serviceHeader() nats.Header {
	if a.header == nil {
		mailbox, err := bus.MailboxSubject(a.sid)
		if err != nil {
			panic(err) // a sid of this node's own making or from the directory
		}
		a.header = nats.Header{bus.HeaderSession: {a.sid}, bus.HeaderMailbox: {mailbox}}
		if a.identity != "" {
			a.header[bus.HeaderIdentity] = []string{a.identity}
		}
	}
	return a.header
}
