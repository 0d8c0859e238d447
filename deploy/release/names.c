/* Where names are looked up, whatever /etc/nsswitch.conf says. Most of what it may name is loaded from the host, and
 * a C library that is linked in can't be mixed with the host's: where their versions differ, the process dies. */

#include <nss.h>

__attribute__((constructor)) static void look_names_up_without_the_host(void) {
#ifdef __GLIBC__
  __nss_configure_lookup("hosts", "files dns");
#endif
}
