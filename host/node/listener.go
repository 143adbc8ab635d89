package node

import (
	"context"
	"log/slog"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/storage"
)

// listener passes what the catalog says to those who act on it.
type listener struct {
	executor *lifecycle.Executor
	store    *storage.Store
	logger   *slog.Logger
}

// CatalogChanged returns when every model has been considered: only then is the change acknowledged.
func (l *listener) CatalogChanged(change catalog.Change) {
	switching := make(map[string]string)
	for alias := range change.New.Aliases {
		if target := alias.GetTargetModelId(); target != "" && target != alias.GetActiveModelId() {
			switching[target] = alias.GetActiveModelId()
		}
	}
	err := l.executor.CatalogChanged(context.Background(), machine.CatalogChanged{
		Upserts: change.Upserts, Removed: change.Removed, Switching: switching,
	})
	if err != nil {
		l.logger.Warn("catalog change not taken in", "error", err)
	}
}

func (l *listener) CredentialsChanged(credentials map[string][]byte) {
	l.store.SetCredentials(credentials)
	if err := l.executor.CredentialsChanged(context.Background()); err != nil {
		l.logger.Warn("change of credentials not taken in", "error", err)
	}
}
