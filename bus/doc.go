// Package bus is everything of Hydrant that is NATS: subjects, mailboxes, the
// session directory, work queues, and the kit for services.
package bus
