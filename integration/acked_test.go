package integration

import (
	"strconv"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// The chain, whatever way the messages come (I3).
func TestAckedChain(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, other, s := world.DialAcked(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "b")), w.Serve(t, world.Unique(t))
	w.PushNumbers(t, c.ID, 0, 5)
	messages := c.WantBodies(0, 5)
	other.Send(object{"to": c.Address(), "hdr": object{"own": "1", "x-seq": "999999"}, "bdy": 5})
	messages = append(messages, c.WantBodies(5, 6)...)
	if m := messages[5]; m.At("hdr", "own") != "1" {
		t.Errorf("the sender's own header is gone: %s", m.Raw)
	}
	mid := c.Send(object{"to": s.Name + ":/", "bdy": "?"})
	request, m := s.Next()
	s.Respond(request, object{"to": m.Via(), "frm": "i@" + s.Name + ":/", "mid": "r", "rmid": mid, "bdy": 6})
	messages = append(messages, c.WantBodies(6, 7)...)
	last := world.WantChain(firstPrev(t, messages))

	// What the router itself answers is no mailbox message.
	pong := c.Call(object{"to": "hydra-router:/", "typ": "ping", "bdy": 1})
	if pong.Seq() != 0 || pong.Prev() != 0 {
		t.Errorf("a pong is numbered: %s", pong.Raw)
	}
	if err := c.Ack(last); err != nil {
		t.Fatal(err)
	}
	c.Quiet()
}

// An old client sees none of it.
func TestPlainSessionIsNotNumbered(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.Dial(t, w.Node(t, "a"))
	w.PushNumbers(t, c.ID, 0, 2)
	for _, m := range c.WantBodies(0, 2) {
		if m.Fields["hdr"] != nil {
			t.Errorf("headers that nobody sent: %s", m.Raw)
		}
	}
}

// At most as many unconfirmed messages as the welcome's win are on the way.
func TestAckedWindow(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.DialAcked(t, w.Node(t, "a"))
	window, ok := c.Welcome.At("bdy", "win").(float64)
	if !ok || window < 1 || window > 900 {
		t.Fatalf("win is %v", c.Welcome.At("bdy", "win"))
	}
	win := int(window)
	total := 2*win + 10
	w.PushNumbers(t, c.ID, 0, total)
	messages := c.WantBodies(0, win)
	c.Quiet()
	if err := c.Ack(messages[win/2].Seq()); err != nil {
		t.Fatal(err)
	}
	messages = append(messages, c.WantBodies(win, win+win/2+1)...)
	c.Quiet()
	// Cumulative: one ack for all.
	if err := c.Ack(messages[len(messages)-1].Seq()); err != nil {
		t.Fatal(err)
	}
	messages = append(messages, c.WantBodies(len(messages), total)...)
	world.WantChain(firstPrev(t, messages))
	// Old and repeated acks harm nothing.
	for _, m := range []message{messages[0], messages[total-1], messages[total-1], messages[1]} {
		if err := c.Ack(m.Seq()); err != nil {
			t.Fatal(err)
		}
	}
	c.Quiet()
}

// R1: a resume by sequence repeats nothing and loses nothing.
func TestAckedResumeBySequence(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.DialAcked(t, w.Node(t, "a"))
	w.PushNumbers(t, c.ID, 0, 10)
	messages := c.WantBodies(0, 10)
	if err := c.Ack(messages[3].Seq()); err != nil {
		t.Fatal(err)
	}
	c.Reset()
	w.PushNumbers(t, c.ID, 10, 15)

	// It has handled seven of them, and confirmed four.
	again := c.ResumeAcked(w.Node(t, "b"), messages[6].Seq())
	world.WantChain(t, messages[6].Seq(), again.WantBodies(7, 15))
	again.Quiet()

	// R31: an older seq than the one it gave before is a wish to see it again.
	once := again.ResumeAcked(w.Node(t, "a"), messages[6].Seq())
	rest := once.WantBodies(7, 15)
	world.WantChain(t, messages[6].Seq(), rest)
	if err := once.Ack(rest[len(rest)-1].Seq()); err != nil {
		t.Fatal(err)
	}
	once.Fence()
	once.Drop()
	w.PushNumbers(t, c.ID, 15, 16)
	twice := once.ResumeAcked(w.Node(t, "b"), rest[len(rest)-1].Seq())
	world.WantChain(t, rest[len(rest)-1].Seq(), twice.WantBodies(15, 16))
	twice.Quiet()
}

// A client that does not know its last message gets what it never confirmed.
func TestAckedResumeWithoutSequence(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.DialAcked(t, w.Node(t, "a"))
	w.PushNumbers(t, c.ID, 0, 10)
	messages := c.WantBodies(0, 10)
	if err := c.Ack(messages[3].Seq()); err != nil {
		t.Fatal(err)
	}
	c.Fence()
	c.Drop()
	again, answer := c.ReconnectWith(w.Node(t, "b"), harness.DialOptions{Acked: true}, object{"id": c.ID, "token": c.Token})
	c.WantResumed(answer)
	repeated := again.WantBodies(4, 10)
	world.WantChain(t, messages[3].Seq(), repeated)
	for i, m := range repeated { // I4
		if m.Seq() != messages[4+i].Seq() || m.Mid() != messages[4+i].Mid() {
			t.Errorf("the repeat of %s is %s", messages[4+i].Raw, m.Raw)
		}
	}
	again.Quiet()
}

// R31: never silent.
func TestAckedResumeWithAStrangeSequence(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.DialAcked(t, w.Node(t, "a"))
	w.PushNumbers(t, c.ID, 0, 3)
	messages := c.WantBodies(0, 3)
	last := messages[2].Seq()
	c.Drop()

	// From the future: what it believes to have does not exist.
	again := world.DialWith(t, w.Node(t, "b").URL("/"), harness.DialOptions{Acked: true})
	answer, err := again.Client.Resume(t.Context(), "reconnect", object{"id": c.ID, "token": c.Token, "seq": strconv.FormatUint(last+1_000_000, 10)})
	if err != nil {
		t.Fatal(err)
	}
	if answer.At("bdy", "resumed") == true {
		g := world.ReadGap(t, again.Next())
		if g.Why != "rollback" {
			t.Errorf("gap %+v", g)
		}
	}
	again.Fence()
	again.Drop()

	for _, seq := range []any{"nonsense", "-1", "1.5", "", " 1", "99999999999999999999999", object{}, true} {
		again := world.DialWith(t, w.Node(t, "b").URL("/"), harness.DialOptions{Acked: true})
		again.Send(object{"to": "hydra-router:/", "typ": "reconnect", "bdy": object{"id": c.ID, "token": c.Token, "seq": seq}})
		m := again.Next()
		if m.Error() == "" && m.At("bdy", "resumed") != false {
			t.Errorf("seq %v is answered with %s", seq, m.Raw)
		}
		again.Drop()
	}
}

// An ack that cannot be: of what was never sent, or of nothing.
func TestAckThatCannotBe(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	bystander(t, node)
	for _, seq := range []any{"18446744073709551615", "nonsense", "", -1, nil, object{}} {
		c := world.DialAcked(t, node)
		w.PushNumbers(t, c.ID, 0, 2)
		c.WantBodies(0, 2)
		c.Send(object{"to": "hydra-router:/", "typ": "ack", "bdy": object{"seq": seq}})
		if m := c.Next(); m.Error() == "" {
			t.Errorf("ack of %v is answered with %s", seq, m.Raw)
		}
		c.Drop()
		// Nothing was confirmed by it.
		again, answer := c.ReconnectWith(w.Node(t, "b"), harness.DialOptions{Acked: true}, object{"id": c.ID, "token": c.Token})
		c.WantResumed(answer)
		again.WantBodies(0, 2)
		again.Drop()
	}
}
