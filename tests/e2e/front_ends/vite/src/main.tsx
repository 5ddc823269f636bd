import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'

// One build has both apps of the documentation. A page loads one of them, since each has a client of its own.
const { default: App } = location.pathname === '/tanstack' ? await import('./tanstack.tsx') : await import('./App.tsx')

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
