const escape = (text) => text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** The page asks what is in the cart over a socket, once a second, and says when the server has closed it. */
export function page(user, cart) {
  return `<!doctype html>
<title>Shop</title>
<p id="hello">Hello ${escape(user)}, your cart: ${escape(cart.join(', ')) || 'empty'}</p>
<p>Over the socket: <output id="live"></output></p>
<form action="/login" method="post"><input name="name" required> <button>Log in</button></form>
<form action="/cart" method="post"><input name="item" required> <button>Add</button></form>
<form action="/logout" method="post"><button>Log out</button></form>
<script type="module">
  const live = document.querySelector('#live')
  const socket = new WebSocket(location.href.replace(/^http/, 'ws'))
  const timer = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send('cart?'), 1000)
  socket.onopen = () => socket.send('cart?')
  socket.onmessage = ({ data }) => { live.value = data }
  socket.onclose = ({ code, reason }) => {
    clearInterval(timer)
    live.value = code === 4401 ? 'your session has ended: ' + reason : 'closed'
  }
</script>
`
}
