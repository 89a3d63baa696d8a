import { createRootRoute, createRoute, createRouter, redirect } from '@tanstack/react-router';
import { Layout } from './layout.tsx';
import { AddConnectionPage } from './pages/add-connection-page.tsx';
import { ConnectionPage } from './pages/connection-page.tsx';
import { ConnectionsPage } from './pages/connections-page.tsx';
import { NotFoundPage, PageFault } from './pages/not-found-page.tsx';

const rootRoute = createRootRoute({ component: Layout, notFoundComponent: NotFoundPage });

const homeRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/connections', replace: true });
  },
});

const connectionsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/connections',
  component: ConnectionsPage,
});

const addRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/connections/new',
  component: AddConnectionPage,
});

const connectionRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/connections/$kind/$name',
  validateSearch: (search: Record<string, unknown>): { connected?: 1 } =>
    String(search.connected) === '1' ? { connected: 1 } : {},
  component: function ConnectionRoute() {
    const { kind, name } = connectionRoute.useParams();
    const { connected } = connectionRoute.useSearch();
    // Keyed: one connection's open forms and outcomes must not show on another's page.
    return <ConnectionPage key={`${kind}/${name}`} connectionKey={{ kind, name }} returned={connected === 1} />;
  },
});

export const router = createRouter({
  routeTree: rootRoute.addChildren([homeRoute, connectionsRoute, addRoute, connectionRoute]),
  defaultErrorComponent: PageFault,
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
