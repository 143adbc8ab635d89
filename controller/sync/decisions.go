package syncserver

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// decisionsTimeout bounds how long a host may take to answer a query.
	decisionsTimeout = 5 * time.Second
	// maxDecisionsBytes bounds what is kept of all answers to one query: the rings of some ten hosts.
	maxDecisionsBytes = 64 << 20
	// maxQueries bounds the queries that wait for the answer of one host.
	maxQueries = 16
)

// HostDecisions is what one host has recorded, newest first.
type HostDecisions struct {
	HostID    string
	Decisions []*syncv1.Decision
	// Problem says why something is missing; empty when nothing is.
	Problem string
}

// query waits for the answers of hosts. It is guarded by Server.mu.
type query struct {
	// answers by stream, nil of one that is done.
	answers map[*stream]*HostDecisions
	waiting int
	bytes   int
	done    chan struct{}
}

// Decisions asks every connected host but gateways for recorded decisions; query_id is the server's. It returns once all
// have answered, ended their stream, or taken too long, or when the context ends. Hosts come in the order of their namespace
// and id.
func (s *Server) Decisions(ctx context.Context, wanted *syncv1.DecisionsQuery) []HostDecisions {
	id, q, order := s.ask(wanted)
	ctx, cancel := context.WithTimeout(ctx, decisionsTimeout)
	defer cancel()
	select {
	case <-q.done:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.queries, id)
	answers := make([]HostDecisions, 0, len(order))
	for _, st := range order {
		delete(st.queries, id)
		a := *q.answers[st]
		if st.unanswered[id] {
			a.Problem = fmt.Sprintf("no answer within %s", decisionsTimeout)
		}
		delete(st.unanswered, id)
		answers = append(answers, a)
	}
	return answers
}

// ask registers a query with every connected host that has room for it.
func (s *Server) ask(wanted *syncv1.DecisionsQuery) (id uint64, q *query, order []*stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queryNumber++
	id = s.queryNumber
	q = &query{answers: map[*stream]*HostDecisions{}, done: make(chan struct{})}
	s.queries[id] = q
	for _, key := range s.hostKeys() {
		st := s.hosts[key].stream
		if st == nil || st.hello.GetGateway() {
			continue
		}
		order = append(order, st)
		q.answers[st] = &HostDecisions{HostID: key.ID}
		if len(st.unanswered) >= maxQueries {
			q.answers[st].Problem = fmt.Sprintf("%d queries wait for its answer already", maxQueries)
			continue
		}
		asked := proto.CloneOf(wanted)
		asked.QueryId = id
		st.queries[id], st.unanswered[id] = asked, true
		q.waiting++
		signal(st.wake)
	}
	if q.waiting == 0 {
		close(q.done)
	}
	return id, q, order
}

// nextQuery is one that the stream has not been told. The caller holds the lock.
func (st *stream) nextQuery() *response {
	for id, wanted := range st.queries {
		delete(st.queries, id)
		return &response{whole: &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Decisions{Decisions: wanted}}}
	}
	return nil
}

// reply takes an answer, or a part of it. What comes after the query has ended is dropped.
func (s *Server) reply(st *stream, reply *syncv1.DecisionsReply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queries[reply.GetQueryId()]
	if q == nil || !st.unanswered[reply.GetQueryId()] {
		return
	}
	a := q.answers[st]
	for _, d := range reply.GetDecisions() {
		if q.bytes += proto.Size(d); q.bytes > maxDecisionsBytes {
			a.Problem = fmt.Sprintf("the answers have more than %d MiB, and the rest is left out: ask for fewer", maxDecisionsBytes>>20)
			break
		}
		a.Decisions = append(a.Decisions, d)
	}
	if reply.GetDone() {
		s.answered(st, reply.GetQueryId())
	}
}

// answered ends a stream's part in a query. The caller holds the lock.
func (s *Server) answered(st *stream, id uint64) {
	delete(st.unanswered, id)
	q := s.queries[id]
	if q == nil {
		return
	}
	if q.waiting--; q.waiting == 0 {
		close(q.done)
	}
}

// abandon ends all queries to a stream that is gone. The caller holds the lock.
func (s *Server) abandon(st *stream) {
	for id := range st.unanswered {
		if q := s.queries[id]; q != nil {
			q.answers[st].Problem = "the host has disconnected"
		}
		s.answered(st, id)
	}
}
