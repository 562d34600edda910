package stats

import (
	"time"

	"hydrant/edge/internal/wire"
)

// What the collector adds up.

func (c *collector) connections() {
	c.counter("accepts_total", "Sockets accepted, of whatever they turned out to be.",
		func(s *Sample) float64 { return float64(s.Wire.Accepted) })
	c.counter("connects_total", "WebSocket connections opened.",
		func(s *Sample) float64 { return float64(s.Wire.Upgrades) })
	labelled(c, "closes_total", "Connections ended, and those refused before they were any, by reason.", "reason",
		wire.Drop(wire.NumDrops), func(s *Sample, d wire.Drop) float64 { return float64(s.Wire.Drops[d]) })
	c.gauge("connections", "WebSocket connections open.", func(s *Sample) float64 { return float64(s.Wire.Upgraded) })
	c.gauge("sockets", "Sockets open, whatever their state.", func(s *Sample) float64 { return float64(s.Wire.Connections) })
	c.gauge("plain_connections", "Connections of plain HTTP open on the clients' port.",
		func(s *Sample) float64 { return float64(s.Wire.Plain) })
	c.gauge("socket_buffer_bytes", "Bytes of partial messages and of output that sockets have not taken, in buffers from 4 KiB on.",
		func(s *Sample) float64 { return float64(s.Wire.Buffered) })
	c.counter("socket_reads_total", "Reads from sockets.", func(s *Sample) float64 { return float64(s.Wire.Reads) })
	c.counter("socket_writes_total", "Writes to sockets.", func(s *Sample) float64 { return float64(s.Wire.Writes) })
	c.counter("socket_read_bytes_total", "Bytes read from sockets, frames' headers included.",
		func(s *Sample) float64 { return float64(s.Wire.BytesIn) })
	c.counter("socket_written_bytes_total", "Bytes written to sockets, frames' headers included.",
		func(s *Sample) float64 { return float64(s.Wire.BytesOut) })
	c.counter("stalls_total", "Times a loop did not run for longer than the stall limit.",
		func(s *Sample) float64 { return float64(s.Wire.Stalls) })
	c.histogram("loop_lag_seconds", "How late a loop's timer runs; timers have a resolution of 8.4 ms.",
		func(t *Tally) *Durations { return &t.Lag })
}

func (c *collector) messages() {
	in := func(of func(*Volume) uint64) func(*Sample, Received) float64 {
		return func(s *Sample, k Received) float64 {
			return s.sum(func(l *Loop) int64 { return int64(of(&l.Tally.In[k])) })
		}
	}
	out := func(of func(*Volume) uint64) func(*Sample, Sent) float64 {
		return func(s *Sample, k Sent) float64 {
			return s.sum(func(l *Loop) int64 { return int64(of(&l.Tally.Out[k])) })
		}
	}
	messages := func(v *Volume) uint64 { return v.messages.Load() }
	bytes := func(v *Volume) uint64 { return v.bytes.Load() }
	labelled(c, "messages_received_total", "Messages from clients, by kind.", "kind", numReceived, in(messages))
	labelled(c, "received_bytes_total", "Payload bytes from clients, by kind of message.", "kind", numReceived, in(bytes))
	labelled(c, "messages_sent_total", "Messages to clients, by kind.", "kind", numSent, out(messages))
	labelled(c, "sent_bytes_total", "Payload bytes to clients, by kind of message.", "kind", numSent, out(bytes))
	c.histogram("frame_to_nats_seconds", "Time from a client's frame until its message was handed to the NATS connection.",
		func(t *Tally) *Durations { return &t.Published })
	c.histogram("store_to_socket_seconds", "Time from storing a live message until it was queued for its socket, by the store's clock.",
		func(t *Tally) *Durations { return &t.Stored })
	c.gauge("window_messages", "Messages that clients of umf.ack.v1 have not confirmed.",
		func(s *Sample) float64 { return s.sum(func(l *Loop) int64 { return l.Tally.Unacked.Load() }) })
	c.gauge("window_full_sessions", "Sessions that wait for their client, which has a whole window to confirm.",
		func(s *Sample) float64 { return s.sum(func(l *Loop) int64 { return l.Tally.Windowed.Load() }) })
}

func (c *collector) queues() {
	c.gauge("loop_inbox", "Entries that wait for the loops.", func(s *Sample) float64 { return float64(s.Wire.Waiting) })
	c.counter("loop_inbox_full_total", "Times an entry for a loop had to wait, or was refused, because the inbox was at its bound.",
		func(s *Sample) float64 { return float64(s.Wire.InboxFull) })
	c.gauge("outbox_operations", "NATS operations queued by the loops, and messages that wait for a look-up.",
		func(s *Sample) float64 { return s.sum(func(l *Loop) int64 { return l.Ops }) })
	c.gauge("outbox_bytes", "Bytes of what hydrant_outbox_operations counts.",
		func(s *Sample) float64 { return s.sum(func(l *Loop) int64 { return l.Bytes }) })
	c.gauge("outbox_unacknowledged", "Publishes to mailboxes and work queues that the store has not acknowledged.",
		func(s *Sample) float64 { return s.sum(func(l *Loop) int64 { return l.Flying }) })
	c.counter("held_back_total", "Times a client was not read from for a while, because the queue to NATS was half full or it had asked for much.",
		func(s *Sample) float64 { return s.sum(func(l *Loop) int64 { return int64(l.Tally.HeldBack.Load()) }) })
	c.counter("reader_inbox_full_total", "Messages of mailboxes and the directory that were dropped because a read had not asked for so many.",
		func(s *Sample) float64 { return float64(s.Unasked) })
	c.counter("proofs_total", "Writes by which it is proved that an answer of the directory is up to date.",
		func(s *Sample) float64 { return float64(s.Probes) })
	c.counter("proof_retries_total", "Answers of the directory that were not up to date, or did not come, and were asked for again.",
		func(s *Sample) float64 { return float64(s.Again) })
	c.counter("discovery_full_total", "Lists of services and nodes that lack some, because there were too many answers.",
		func(s *Sample) float64 { return float64(s.Cut) })
	c.gauge("work_queues", "Services that have registered a work queue, as far as this node knows.",
		func(s *Sample) float64 { return float64(s.Queues) })
	c.counter("work_queue_looks_total", "Readings of the list of work queues, for messages whose service was not known to have one.",
		func(s *Sample) float64 { return float64(s.Looks) })
	c.gauge("pool_queue", "Blocking NATS calls waiting for a worker.", func(s *Sample) float64 { return float64(s.Waiting) })
	c.gauge("pool_busy", "Workers of the pool that are in a blocking NATS call.", func(s *Sample) float64 { return float64(s.Busy) })
	c.gauge("token_keys_age_seconds", "Time since the keys of EDGE_AUTH_JWKS_URL were read; 0: they never were, or there is none.",
		func(s *Sample) float64 { return s.KeysAge.Seconds() })
	c.gauge("tails", "Parked sessions for which the node keeps what comes, until they are resumed.", func(s *Sample) float64 { return float64(s.Tails) })
	c.gauge("tail_bytes", "Memory that this takes.", func(s *Sample) float64 { return float64(s.TailBytes) })
	c.gauge("pass_bytes", "Memory that takes what was read for many sessions together.", func(s *Sample) float64 { return float64(s.PassBytes) })
	c.gauge("checkpoint_lag_seconds", "Age of the oldest moved floor that is not yet written.", func(s *Sample) float64 {
		oldest := 0.0
		for _, l := range s.Loops {
			if at := l.Tally.DirtyFrom.Load(); at != 0 {
				oldest = max(oldest, time.Since(time.Unix(0, at)).Seconds())
			}
		}
		return oldest
	})
}
