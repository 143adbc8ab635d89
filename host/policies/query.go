package policies

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

const (
	// maxQueries wait to be answered; who asked the oldest has given up.
	maxQueries = 8
	// replyBytes bounds a message, unless one decision alone is larger.
	replyBytes = 1 << 20
	// decisionBytes bounds one decision: with more, the message could exceed what gRPC takes, and would end the stream.
	decisionBytes = 2 << 20
	// replyTimeout is how long the stream may take to take a message.
	replyTimeout = 10 * time.Second
)

// DecisionsQuery has a query for recorded decisions answered. It returns at once.
func (s *Set) DecisionsQuery(query *syncv1.DecisionsQuery) {
	for {
		select {
		case s.queries <- query:
			return
		default:
		}
		select {
		case <-s.queries:
		default:
		}
	}
}

// reply answers queries until ctx ends, one at a time.
func (s *Set) reply(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case query := <-s.queries:
			if err := s.answer(ctx, query); err != nil && ctx.Err() == nil {
				s.config.Logger.Warn("query for decisions not answered", "error", err)
			}
		}
	}
}

func (s *Set) answer(ctx context.Context, query *syncv1.DecisionsQuery) error {
	reply := &syncv1.DecisionsReply{QueryId: query.GetQueryId()}
	size := 0
	send := func() error {
		ctx, cancel := context.WithTimeout(ctx, replyTimeout)
		defer cancel()
		return s.config.Publisher.Reply(ctx, reply)
	}
	for _, d := range s.decisions(query) {
		n := proto.Size(d) + perDecision
		if n > decisionBytes {
			d.Effect += fmt.Sprintf(" (left out: a request of %d bytes and its answer)", len(d.GetRequest()))
			d.Request, d.Answer = nil, nil
			n = proto.Size(d) + perDecision
		}
		if len(reply.Decisions) > 0 && size+n > replyBytes {
			if err := send(); err != nil {
				return err
			}
			reply, size = &syncv1.DecisionsReply{QueryId: query.GetQueryId()}, 0
		}
		reply.Decisions = append(reply.Decisions, d)
		size += n
	}
	reply.Done = true
	return send()
}

// perDecision is room for the tag and length of one decision, and its share of the rest of a message.
const perDecision = 16

// decisions are what was asked for, newest first.
func (s *Set) decisions(query *syncv1.DecisionsQuery) (all []*syncv1.Decision) {
	filter := hook.Filter{Model: query.GetModelId(), Limit: int(query.GetLimit())}
	for _, h := range []*hook.Hook{s.Place, s.Evict} {
		if query.GetHook() == "" || s.byName(query.GetHook()) == h {
			all = append(all, h.Records(filter)...)
		}
	}
	slices.SortStableFunc(all, hook.NewestFirst)
	if filter.Limit > 0 && len(all) > filter.Limit {
		all = all[:filter.Limit]
	}
	return all
}
