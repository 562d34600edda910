package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
	"hydrant/umf"
)

// frameToSubject is what a loop does with one message for a service, from the unmasked
// payload to subject, reply subject and text for NATS.
func frameToSubject(b *testing.B) (once func(), bytes int) {
	n := &Node{ID: scheme.NewNodeID(), Config: &config.Config{ServiceName: "hydra-router"}}
	h := &held{s: &Shard{node: n}, sid: scheme.NewSID()}
	payload := []byte(`{"to":"echo:/v1/chat","frm":"` + string(h.sid) + `@client:/","mid":"b7a1c6de-0b3f-4f39-9f2a-0f6a0f1d2c3b",` +
		`"ts":"2026-01-12T20:16:29.157Z","typ":"chat","ver":"UMF/1.4.6","bdy":{"room":"lobby","text":"a message of ordinary length"}}`)
	var e umf.Envelope
	var via, text []byte
	var buf [128]byte
	return func() {
		if err := umf.Scan(payload, &e); err != nil {
			b.Fatal(err)
		}
		if err := e.Check(); err != nil {
			b.Fatal(err)
		}
		to, _ := e.Text(umf.To, buf[:0])
		address, err := umf.ParseAddress(to)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := scheme.AddressSubject(address.Service, address.Instance); err != nil {
			b.Fatal(err)
		}
		f := protocol.Complete(&e, time.Time{})
		via = h.appendVia(via[:0])
		f.Set(umf.Via, via)
		text = e.AppendShort(text[:0], f.Sets()...)
		if _, err := scheme.ReplySubject(n.ID, h.sid, string(f.Mid)); err != nil {
			b.Fatal(err)
		}
	}, len(payload)
}

func BenchmarkFrameToSubject(b *testing.B) {
	once, bytes := frameToSubject(b)
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

// BenchmarkFrameToSubjectPaid is BenchmarkFrameToSubject with what its sender's account
// costs; BenchmarkPaid is that alone.
func BenchmarkFrameToSubjectPaid(b *testing.B) {
	once, bytes := frameToSubject(b)
	pay := paying()
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		pay(bytes)
		once()
	}
}

func BenchmarkPaid(b *testing.B) {
	pay := paying()
	b.ReportAllocs()
	for b.Loop() {
		pay(300)
	}
}

// paying takes from an account that is never used up.
func paying() func(bytes int) {
	limits := quota.Limits{Messages: quota.NewRate(1e9, time.Hour, 1), Bytes: quota.NewRate(1e13, time.Hour, 1)}
	c := &Client{account: quota.NewTable(limits, func() {}).Open(quota.Who{Identity: "ann"}, 0)}
	now := time.Duration(0)
	return func(bytes int) {
		now += time.Microsecond
		if !c.account.Take(bytes, now) {
			panic("used up")
		}
	}
}
