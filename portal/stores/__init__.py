"""Object stores: one interface (`interface.Store`), its drivers, and how one is opened."""
