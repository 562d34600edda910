package ownership

import (
	"fmt"
	"runtime/debug"
	"slices"
)

// fault does something to a node.
func (w *world) fault() {
	if w.calm {
		return
	}
	w.later(w.between(1, 2*w.setup.faults), w.fault)
	w.harm(w.nodes[w.rng.IntN(len(w.nodes))])
}

// disturb lets faults, and the client, prefer the moment after something happened.
func (w *world) disturb(n *node) {
	if w.calm || w.now < w.spared || !w.percent(w.spite) {
		return
	}
	w.spared = w.now + w.between(30, 1500)
	if w.client.known && w.percent(50) {
		w.later(w.between(0, 20), func() {
			if !w.calm {
				w.client.drop()
				w.client.open()
			}
		})
	}
	if w.faults > 0 && w.percent(50) {
		w.later(w.between(0, 8), func() { w.harm(n) })
	}
}

// harm does something to a node.
func (w *world) harm(n *node) {
	if w.calm || n.dead {
		return
	}
	switch k := w.rng.IntN(w.freezes + w.cuts + w.kills + 1); {
	case k < w.freezes:
		n.freeze(w.between(min(300, w.longest), w.longest), w.percent(w.stopped))
	case k < w.freezes+w.cuts:
		n.lose(w.between(20, w.longest))
	case k < w.freezes+w.cuts+w.kills:
		n.kill()
	}
}

// freeze stops the process for a while, and its clock, if the whole machine stands
// still.
func (n *node) freeze(d int64, clock bool) {
	if n.frozen {
		return
	}
	n.w.log("%s stands still", n.id)
	n.frozen, n.since, n.clock = true, n.w.now, clock
	n.w.later(d, n.thaw)
}

// thaw lets a process run again. It notices first that it stood still.
func (n *node) thaw() {
	if !n.frozen || n.dead {
		return
	}
	n.w.log("%s runs again", n.id)
	n.frozen = false
	if n.clock {
		n.behind += n.w.now - n.since
	}
	for _, h := range slices.Clone(n.holders) {
		h.event("stalled", func() { h.m.Stalled(n.time(), h) })
	}
	stash := n.stash
	n.stash = nil
	for _, e := range stash {
		e.at = n.w.now
		n.w.push(e)
	}
}

// lose ends the node's connection to NATS: what is on its way to it is lost.
func (n *node) lose(d int64) {
	if n.cut {
		return
	}
	n.w.log("%s loses NATS", n.id)
	n.cut, n.kept = true, nil
	n.w.later(d, n.heal)
}

func (n *node) heal() {
	if !n.cut || n.dead {
		return
	}
	n.w.log("%s has NATS again", n.id)
	n.cut = false
	n.epoch++
	n.fifo = 0
	n.after(0, func() {
		for _, h := range slices.Clone(n.holders) {
			h.event("reconnected", func() { h.m.Reconnected(n.time(), h) })
		}
	})
}

// kill ends the process; another takes its place.
func (n *node) kill() {
	w := n.w
	w.log("%s dies", n.id)
	n.dead = true
	w.nodes = slices.DeleteFunc(w.nodes, func(o *node) bool { return o == n })
	w.boot()
	for _, s := range w.client.sockets {
		if s.node == n {
			s.died()
		}
	}
}

// settle ends all faults.
func (w *world) settle() {
	w.log("CALM")
	w.calm = true
	for _, n := range w.all {
		n.heal()
		n.thaw()
	}
}

// run simulates one schedule and returns what went wrong.
func (w *world) run() (failed string) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case failure:
			failed = e.text
		default:
			w.log("%s", debug.Stack())
			failed = fmt.Sprint("panic: ", e)
		}
	}()
	for end := w.now + w.length; w.now < end && w.step(); {
	}
	w.settle()
	w.client.settle()
	from, limit := w.steps, w.now+400_000
	for w.step() {
		if w.now > limit || w.steps > from+20_000 {
			w.fail("it does not come to rest")
		}
	}
	w.check.end()
	return ""
}
