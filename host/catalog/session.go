package catalog

import (
	"context"
	"fmt"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// session is the state of one stream. Owned by the goroutine of Client.session, except for read.
type session struct {
	client *Client
	stream grpc.BidiStreamingClient[syncv1.ConnectRequest, syncv1.ConnectResponse]
	// index is what the controller says must be there, while its rows are being fetched; nil otherwise.
	index *syncv1.Index
	// staged are rows of updates that are not complete yet.
	staged  []*syncv1.Row
	removed []string
}

func (s *session) read(ctx context.Context, received chan<- *syncv1.ConnectResponse) error {
	for {
		message, err := s.stream.Recv()
		if err != nil {
			return err
		}
		select {
		case received <- message:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *session) handle(message *syncv1.ConnectResponse) error {
	s.client.connected.Store(true)
	switch value := message.GetMessage().(type) {
	case *syncv1.ConnectResponse_Index:
		return s.fetch(value.Index)
	case *syncv1.ConnectResponse_Update:
		return s.update(value.Update)
	case *syncv1.ConnectResponse_Credentials:
		s.credentials(value.Credentials)
	case *syncv1.ConnectResponse_Hosts:
		s.client.hosts.Store(value.Hosts)
		if listener := s.client.config.Mesh; listener != nil {
			listener.HostsChanged(value.Hosts.GetHosts())
		}
	case *syncv1.ConnectResponse_Drain:
		if listener := s.client.config.Mesh; listener != nil {
			listener.Drain(time.Duration(value.Drain.GetTimeoutMs()) * time.Millisecond)
		}
	case *syncv1.ConnectResponse_Policies:
		if listener := s.client.config.Policies; listener != nil {
			listener.PolicyPlan(value.Policies)
		}
	case *syncv1.ConnectResponse_Decisions:
		if listener := s.client.config.Policies; listener != nil {
			listener.DecisionsQuery(value.Decisions)
		}
	}
	// A kind of message that this host does not know comes from a newer controller and is not for it.
	return nil
}

// fetch asks for the rows of the index that differ from ours.
func (s *session) fetch(index *syncv1.Index) error {
	table := s.client.Table()
	var keys []string
	for _, entry := range index.GetEntries() {
		row, ok := table.rows[entry.GetKey()]
		if !ok || string(row.GetDigest()) != string(entry.GetDigest()) {
			keys = append(keys, entry.GetKey())
		}
	}
	s.index, s.staged, s.removed = index, nil, nil
	return s.send(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Fetch{Fetch: &syncv1.Fetch{Keys: keys}}})
}

// update stages rows until the controller says that they are complete, then shows them all at once.
func (s *session) update(update *syncv1.Update) error {
	table := s.client.Table()
	if base := update.GetBase(); base != nil && !proto.Equal(base, table.Version()) {
		return fmt.Errorf("update is based on catalog %d.%d but this host has %d.%d: connecting again for a full one",
			base.GetTerm(), base.GetSequence(), table.Version().GetTerm(), table.Version().GetSequence())
	}
	s.staged = append(s.staged, update.GetUpserts()...)
	s.removed = append(s.removed, update.GetRemovedKeys()...)
	if !update.GetComplete() {
		return nil
	}
	if s.index != nil {
		s.removed = append(s.removed, notIn(table, s.index)...)
	}
	next := table.with(update.GetVersion(), s.staged, s.removed)
	s.index, s.staged, s.removed = nil, nil, nil
	s.client.apply(table, next)
	// What the change made the host decide goes out before the acknowledgement: see Listener.
	if err := s.report(s.client.reporter.delta()); err != nil {
		return err
	}
	return s.send(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Ack{Ack: &syncv1.Ack{Version: next.Version()}}})
}

// apply shows the table and returns when the listener has taken it in.
func (c *Client) apply(old, next *Table) {
	if err := saveTable(c.config.StateDir, next); err != nil {
		// The catalog still holds in memory; only a restart without a controller would miss this version.
		c.config.Logger.Error("catalog not kept on disk", "error", err)
	}
	c.table.Store(next)
	c.listener.CatalogChanged(diff(old, next))
}

// credentials come with every connection. Only those that differ are news: the listener tries failed models again.
func (s *session) credentials(credentials *syncv1.Credentials) {
	c := s.client
	if c.credentials != nil && proto.Equal(c.credentials, credentials) {
		return
	}
	c.credentials = credentials
	if err := saveCredentials(c.config.StateDir, credentials); err != nil {
		c.config.Logger.Error("credentials not kept on disk", "error", err)
	}
	c.listener.CredentialsChanged(credentials.GetStorage())
}

func (s *session) report(report *syncv1.Report) error {
	if report == nil {
		return nil
	}
	report.CatalogVersion = s.client.Table().Version()
	return s.send(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Report{Report: report}})
}

func (s *session) reportPolicies(report *syncv1.PolicyReport) error {
	if report == nil {
		return nil
	}
	return s.send(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Policies{Policies: report}})
}

func (s *session) send(message *syncv1.ConnectRequest) error {
	if err := s.stream.Send(message); err != nil {
		return fmt.Errorf("send to controller: %w", err)
	}
	return nil
}

// notIn answers the keys of the table that the index does not have.
func notIn(table *Table, index *syncv1.Index) []string {
	wanted := make(map[string]struct{}, len(index.GetEntries()))
	for _, entry := range index.GetEntries() {
		wanted[entry.GetKey()] = struct{}{}
	}
	var gone []string
	for key := range table.rows {
		if _, ok := wanted[key]; !ok {
			gone = append(gone, key)
		}
	}
	return gone
}
