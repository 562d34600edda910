package edge

import "sort"

// Whether the node takes clients, and what keeps it from that.

// notReady records why a part keeps the node from being ready.
func (n *Node) notReady(part, why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reasons[part] = why
	n.fit.Store(false)
	n.showReady()
}

func (n *Node) nowReady(part string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.reasons, part)
	n.fit.Store(len(n.reasons) == 0)
	n.showReady()
}

// showReady sets the metric to what readiness says. Caller holds mu.
func (n *Node) showReady() {
	if n.fit.Load() && !n.draining.Load() {
		n.m.Ready.Set(1)
	} else {
		n.m.Ready.Set(0)
	}
}

// readiness reports whether the node takes new clients, or which parts keep it
// from that; with the details, which are for administrators, also why.
func (n *Node) readiness(details bool) (bool, []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var reasons []string
	add := func(part, why string) {
		if details {
			part += ": " + why
		}
		reasons = append(reasons, part)
	}
	for part, why := range n.reasons {
		add(part, why)
	}
	if n.draining.Load() {
		add("drain", "the node is stopping")
	}
	sort.Strings(reasons)
	return len(reasons) == 0, reasons
}
