import { createRootRoute, createRoute, createRouter, redirect } from '@tanstack/react-router';
import { Layout } from './layout.tsx';
import { AddConnectionPage } from './pages/add-connection-page.tsx';
import { ConnectionPage } from './pages/connection-page.tsx';
import { ConnectionsPage } from './pages/connections-page.tsx';
import { NotFoundPage, PageFault } from './pages/not-found-page.tsx';
import { SignInRoute } from './pages/sign-in-page.tsx';

const rootRoute = createRootRoute({ component: Layout, notFoundComponent: NotFoundPage });

const homeRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/connections', replace: true });
  },
});

const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sign-in',
  validateSearch: (search: Record<string, unknown>): { return_to?: string; error?: string } => ({
    ...(typeof search.return_to === 'string' ? { return_to: search.return_to } : {}),
    ...(search.error === undefined ? {} : { error: String(search.error) }),
  }),
  component: function SignIn() {
    return <SignInRoute {...signInRoute.useSearch()} />;
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
  routeTree: rootRoute.addChildren([homeRoute, signInRoute, connectionsRoute, addRoute, connectionRoute]),
  defaultErrorComponent: PageFault,
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
