package scheme

import (
	"os"
	"strconv"
)

// Keys of the metadata in service discovery.
const (
	MetaInstance = "instance"
	MetaHost     = "hostname"
	MetaRoutes   = "routes"
	MetaKind     = "kind"
	MetaProcess  = "processID"
	MetaIP       = "ip"
	MetaPort     = "port" // of a node; a service listens on none
)

// Keys of the metadata of an endpoint, or of the whole service.
const (
	// MetaRoute has the routes that a service takes over HTTP, as [ParseRoute] reads
	// them, with blanks or commas between them.
	MetaRoute = "umf.route"
	// MetaDescribe describes such routes: a JSON object of each one's [Description].
	MetaDescribe = "umf.describe"
	// MetaQueue is "true" where the service takes from a work queue: a node with NATS
	// inside then registers one for it.
	MetaQueue = "umf.queue"
)

// MetaForm is the key of a form's number: of a node, in service discovery, the
// highest that it knows; of the directory, in its stream's metadata, the highest in
// use.
const MetaForm = "umf.form"

// MetaWork is the key under which a node says in service discovery that it knows a stream
// of work which takes that of registered queues alone ([NamedWork]). One that does not say
// so serves only while that stream takes work for any name.
const (
	MetaWork  = "umf.work"
	NamedWork = "named"
)

// FormOf reads the number of a form from metadata; 1: there is none, as before
// there were numbers.
func FormOf(metadata map[string]string) int {
	form, err := strconv.Atoi(metadata[MetaForm])
	if err != nil || form < 1 {
		return 1
	}
	return form
}

// Kinds of participants, as MetaKind has them.
const (
	KindService = "service"
	KindNode    = "node"
)

// Metadata is what a participant tells of itself in service discovery.
func Metadata(kind, instance string) map[string]string {
	host, err := os.Hostname()
	if err != nil {
		host = "" // it is for people
	}
	m := map[string]string{MetaKind: kind, MetaInstance: instance, MetaHost: host, MetaProcess: strconv.Itoa(os.Getpid())}
	if kind == KindNode {
		m[MetaForm], m[MetaWork] = strconv.Itoa(Form), NamedWork
	}
	return m
}
