package accounts

// What each user may do, and what accounts have of each other: the list that the guide
// has, by hand. It is compared with what is written, and with what a server does.

// rights are subjects that a user may publish and subscribe to. In them <service> is the
// user's name, and <stream> each stream of the kind.
type rights struct{ publish, subscribe []string }

var edgeRights = rights{
	publish: []string{
		"umf.v1.svc.*", "umf.v1.inst.*.*", "umf.v1.out.*.*", "umf.v1.work.*", "umf.v1.node.*", "umf.v1.evt.session.*.*.*", "umf.v1.reply.*.*.*.*",
		"umf.v1.expiry.*.*", "$KV.UMF_SESSIONS.*", "$SRV.INFO", "$SRV.STATS", "$JS.API.INFO", "$JS.API.CONSUMER.NAMES.UMF_WORK",
		"$JS.API.STREAM.INFO.<stream>", "$JS.API.STREAM.MSG.GET.<read>", "$JS.API.DIRECT.GET.<read>", "$JS.API.DIRECT.GET.KV_UMF_SESSIONS.>",
	},
	subscribe: []string{
		"umf.v1.live.*.*.*", "umf.v1.gone.*.*", "umf.v1.reply.*.>", "umf.v1.req.*.>", "umf.v1.node.*", "umf.v1.exists.*.*",
		"$SRV.PING", "$SRV.PING.>", "$SRV.INFO", "$SRV.INFO.>", "$SRV.STATS", "$SRV.STATS.>", "_INBOX_edge.>", "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*",
	},
}

var setupRights = rights{
	publish: []string{
		"$JS.API.INFO", "$JS.API.STREAM.INFO.<stream>", "$JS.API.STREAM.CREATE.<stream>", "$JS.API.STREAM.UPDATE.<stream>",
		"$JS.API.CONSUMER.CREATE.UMF_WORK.*.umf.v1.work.*", "$JS.API.CONSUMER.NAMES.UMF_WORK", "$SRV.INFO",
	},
	subscribe: []string{"_INBOX_setup.>"},
}

// serviceRights are those of a service. The consumer of its work queue is asked in the
// API that it has.
func serviceRights(shared bool) rights {
	r := rights{
		publish: []string{
			"umf.v1.out.*.*", "umf.v1.live.*.*.p", "umf.v1.work.*", "umf.v1.call.*", "umf.v1.exists.*.*", "umf.v1.dead.<service>",
			"JS.EDGE.CONSUMER.INFO.UMF_WORK.<service>", "JS.EDGE.CONSUMER.MSG.NEXT.UMF_WORK.<service>", "$JS.ACK.UMF_WORK.<service>.>",
		},
		subscribe: []string{
			"umf.v1.svc.<service>", "umf.v1.inst.<service>.*", "umf.v1.call.<service>", "umf.v1.evt.session.*.*.*",
			"$SRV.PING", "$SRV.INFO", "$SRV.STATS", "$SRV.*.<service>", "$SRV.*.<service>.*", "_INBOX_<service>.>",
		},
	}
	if shared {
		r.publish[7] = "$JS.API.CONSUMER.MSG.NEXT.UMF_WORK.<service>"
		r.publish = append(r.publish, "$JS.API.CONSUMER.INFO.UMF_WORK.<service>")
	}
	return r
}

// On the server inside a node services are one user, and nodes do what is done there.

var ownServiceRights = rights{
	publish: []string{
		"umf.v1.out.*.*", "umf.v1.live.*.*.p", "umf.v1.work.*", "umf.v1.call.*", "umf.v1.exists.*.*", "umf.v1.dead.*",
		"JS.EDGE.CONSUMER.INFO.UMF_WORK.*", "$JS.API.CONSUMER.INFO.UMF_WORK.*", "$JS.API.CONSUMER.MSG.NEXT.UMF_WORK.*", "$JS.ACK.UMF_WORK.*.>",
	},
	subscribe: []string{
		"umf.v1.svc.*", "umf.v1.inst.*.*", "umf.v1.call.*", "umf.v1.evt.session.*.*.*",
		"$SRV.PING", "$SRV.INFO", "$SRV.STATS", "$SRV.*.*", "$SRV.*.*.*", "_INBOX_service.>",
	},
}

var ownEdgeRights = rights{
	publish: append([]string{
		"$JS.API.STREAM.CREATE.<stream>", "$JS.API.STREAM.UPDATE.<stream>", "$JS.API.CONSUMER.CREATE.UMF_WORK.*.umf.v1.work.*",
		"$JS.API.STREAM.NAMES", "$JS.API.CONSUMER.CREATE.<mailboxes>.*.umf.v1.out.*.*", "$JS.API.CONSUMER.DELETE.<mailboxes>.*",
	}, edgeRights.publish...),
	subscribe: edgeRights.subscribe,
}

// edgeExports are what the edge's account gives to a service's, as kind and subject.
var edgeExports = []string{
	"stream umf.v1.evt.session.>", "service umf.v1.reply.>", "service umf.v1.req.>", "service umf.v1.out.>", "service umf.v1.live.*.*.p", "service umf.v1.work.*", "service umf.v1.exists.*.*",
	"stream umf.v1.svc.<service>", "stream umf.v1.inst.<service>.*",
	"service $JS.API.CONSUMER.INFO.UMF_WORK.<service>", "service $JS.API.CONSUMER.MSG.NEXT.UMF_WORK.<service>", "service $JS.ACK.UMF_WORK.<service>.>", "service umf.v1.dead.<service>",
}
