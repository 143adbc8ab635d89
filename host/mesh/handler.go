package mesh

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// releaseTimeout is for a call that waits for nothing at the other side, and reportTimeout for one without an answer.
	releaseTimeout = time.Second
	reportTimeout  = time.Second
	// blobChunk is the size of messages of a policy module, as the controller sends them.
	blobChunk = 64 << 10
)

// Place implements peers.Handler: this host decides if it is an arbiter and knows the model as well as the asker.
func (m *Mesh) Place(ctx context.Context, request *peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
	table := m.deps.Catalog.Table()
	_, known := table.Model(request.GetModelId())
	switch {
	case m.config.Gateway || !m.arbiter.ready.Load():
		return placeResponse(unplaced(peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER, askAgain,
			"host "+m.config.HostID+" does not know yet what the others hold")), nil
	case !known, catalog.Compare(table.Version(), request.GetCatalogVersion()) < 0:
		return placeResponse(unplaced(peerv1.UnplacedReason_UNPLACED_REASON_STALE, askAgain,
			"host "+m.config.HostID+" has an older catalog")), nil
	}
	result, answered := m.arbiter.ask(ctx, arbiter.PlaceAsked{
		Model: request.GetModelId(), Purpose: policyabi.Purpose(request.GetPurpose()), Exclude: request.GetExclude(),
		PassedOver: request.GetPassedOver(), Asker: request.GetAsker(),
	})
	if !answered {
		return nil, status.FromContextError(context.Cause(ctx)).Err()
	}
	return placeResponse(result), nil
}

// Reserve implements peers.Handler: the machine has the last word on what this host takes.
func (m *Mesh) Reserve(ctx context.Context, request *peerv1.ReserveRequest) (*peerv1.ReserveResponse, error) {
	if m.executor == nil {
		return &peerv1.ReserveResponse{
			Reason: peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST, Message: "host " + m.config.HostID + " is a gateway and holds no models",
			Figures: m.figures.message(m),
		}, nil
	}
	table := m.deps.Catalog.Table()
	if _, known := table.Model(request.GetModelId()); !known {
		return &peerv1.ReserveResponse{
			Reason: peerv1.UnplacedReason_UNPLACED_REASON_STALE, Message: "host " + m.config.HostID + " does not know model " + request.GetModelId(),
			Figures: m.figures.message(m),
		}, nil
	}
	event := machine.Reserve{
		Model: request.GetModelId(), Purpose: policyabi.Purpose(request.GetPurpose()),
		ExpectsFree: request.GetExpectsFree(), Final: request.GetFinal(),
	}
	if u := request.GetUsage(); u != nil {
		known := usageOf(u)
		event.Usage, event.LoadCost, event.SizeBytes = &known.Record, known.LoadCost, known.Size
	}
	reserved, err := m.executor.Reserve(ctx, event)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "reserve %s on %s: %v", request.GetModelId(), m.config.HostID, err)
	}
	m.metrics.reserved(event.Purpose, reserved)
	return &peerv1.ReserveResponse{
		Granted: reserved.Granted, TtlMs: clip32(reserved.TTL.Milliseconds()), Reason: reserved.Reason, Message: reserved.Message,
		Failure: lifecycle.FailureMessage(reserved.Failure), State: copyState(reserved.State), Figures: m.figures.message(m),
	}, nil
}

// Release implements peers.Handler.
func (m *Mesh) Release(ctx context.Context, request *peerv1.ReleaseRequest) (*peerv1.ReleaseResponse, error) {
	if m.executor == nil {
		return &peerv1.ReleaseResponse{Released: true}, nil
	}
	released, message, err := m.executor.GiveUp(ctx, request.GetModelId())
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "release %s on %s: %v", request.GetModelId(), m.config.HostID, err)
	}
	if released {
		m.deps.Logger.Info("copy given up", "model", request.GetModelId(), "why", request.GetWhy(), "arbiter", request.GetArbiter())
	}
	return &peerv1.ReleaseResponse{Released: released, Message: message}, nil
}

// maxReported bounds what one message may tell of: more than a host holds, and than the senders here put in.
const maxReported = 100_000

// Report implements peers.Handler.
func (m *Mesh) Report(ctx context.Context, request *peerv1.ReportRequest) (*peerv1.ReportResponse, error) {
	if len(request.GetUses())+len(request.GetHistory()) > maxReported {
		return nil, status.Errorf(codes.InvalidArgument, "a report of more than %d models", maxReported)
	}
	if m.config.Gateway || !m.arbiter.ready.Load() {
		return nil, status.Errorf(codes.FailedPrecondition, "host %s is no arbiter: report again later", m.config.HostID)
	}
	if n := len(request.GetUses()); n > 0 {
		event := arbiter.UseReported{Host: request.GetHostId(), Uses: make([]arbiter.Use, 0, n)}
		for _, use := range request.GetUses() {
			event.Uses = append(event.Uses, arbiter.Use{
				Key: use.GetKey(), ConcurrencyMilli: use.GetConcurrencyMilli(), TargetMilli: use.GetTargetMilli(), Steady: use.GetSteady(),
			})
		}
		m.arbiter.post(ctx, event)
	}
	if n := len(request.GetHistory()); n > 0 {
		event := arbiter.Remembered{Host: request.GetHostId(), Usage: make([]arbiter.Usage, 0, n)}
		for _, usage := range request.GetHistory() {
			event.Usage = append(event.Usage, usageOf(usage))
		}
		m.arbiter.post(ctx, event)
		m.takeHistory(ctx, event)
	}
	return &peerv1.ReportResponse{}, nil
}

// GetBlob implements peers.Handler.
func (m *Mesh) GetBlob(request *syncv1.GetBlobRequest, stream grpc.ServerStreamingServer[syncv1.GetBlobResponse]) error {
	if m.deps.Blobs == nil {
		return status.Error(codes.NotFound, "this host keeps no policy modules")
	}
	content, ok := m.deps.Blobs.Module(request.GetDigest())
	if !ok {
		return status.Errorf(codes.NotFound, "no policy module of digest %x is here", request.GetDigest())
	}
	for len(content) > 0 {
		n := min(len(content), blobChunk)
		if err := stream.Send(&syncv1.GetBlobResponse{Chunk: content[:n]}); err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}

// GetCatalog implements peers.Handler.
func (m *Mesh) GetCatalog(request *peerv1.GetCatalogRequest, stream grpc.ServerStreamingServer[syncv1.Update]) error {
	table := m.deps.Catalog.Table()
	if !table.Complete() || catalog.Compare(table.Version(), request.GetHave()) <= 0 {
		return status.Errorf(codes.FailedPrecondition, "host %s has no newer catalog", m.config.HostID)
	}
	for _, update := range table.Updates() {
		if err := stream.Send(update); err != nil {
			return err
		}
	}
	return nil
}

// reserve performs arbiter.Reserve, here or on another host.
func (m *Mesh) reserve(ctx context.Context, effect arbiter.Reserve) arbiter.Reserved {
	ctx, cancel := context.WithTimeout(ctx, arbiter.DefaultReserveTimeout)
	defer cancel()
	request := &peerv1.ReserveRequest{
		DecisionId: effect.Decision, ModelId: effect.Model, Purpose: peerv1.Purpose(effect.Purpose),
		ExpectsFree: effect.ExpectsFree, Final: effect.Final, CatalogVersion: m.deps.Catalog.Table().Version(), Arbiter: m.config.HostID,
	}
	if effect.Usage != nil {
		request.Usage = usageMessage(*effect.Usage)
	}
	var response *peerv1.ReserveResponse
	var err error
	if effect.Host == m.config.HostID {
		response, err = m.Reserve(ctx, request)
	} else if client, unreachable := m.peers.Client(effect.Host); unreachable != nil {
		err = unreachable
	} else {
		response, err = client.Reserve(ctx, request)
	}
	if err != nil {
		m.deps.Logger.Warn("host did not answer a reservation", "target", effect.Host, "model", effect.Model, "error", err)
		return arbiter.Reserved{ID: effect.ID, Err: err}
	}
	return arbiter.Reserved{
		ID: effect.ID, Granted: response.GetGranted(), Reason: response.GetReason(), Message: response.GetMessage(),
		Failure: response.GetFailure(), Figures: figuresOf(response.GetFigures()), State: residencyState(response.GetState()),
	}
}

// release performs arbiter.Release, here or on another host.
func (m *Mesh) release(ctx context.Context, effect arbiter.Release) arbiter.Released {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	request := &peerv1.ReleaseRequest{ModelId: effect.Model, Why: effect.Why, Arbiter: m.config.HostID}
	var response *peerv1.ReleaseResponse
	var err error
	if effect.Host == m.config.HostID {
		response, err = m.Release(ctx, request)
	} else if client, unreachable := m.peers.Client(effect.Host); unreachable != nil {
		err = unreachable
	} else {
		response, err = client.Release(ctx, request)
	}
	if err != nil {
		m.deps.Logger.Warn("host did not answer a release", "target", effect.Host, "model", effect.Model, "error", err)
	}
	return arbiter.Released{ID: effect.ID, Released: err == nil && response.GetReleased()}
}
